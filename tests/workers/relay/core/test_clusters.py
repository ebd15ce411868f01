"""Which relay of another cluster a client gets, and how a dead one is found out."""

from __future__ import annotations

from collections import Counter

from config.ids import ClusterId, Endpoint
from workers.relay.core.clusters import ASK, LINGER, SILENCE, Clusters

NEAR, FAR = ClusterId(1), ClusterId(2)
RELAYS = [Endpoint(f"10.0.0.{n}", 3479) for n in range(1, 5)]
ALONE = Endpoint("10.0.1.1", 3479)
CLIENTS = [Endpoint(f"192.0.2.{n % 250}", 1000 + n) for n in range(2000)]


def clusters() -> Clusters:
    return Clusters({NEAR: RELAYS, FAR: [ALONE]}, 100.0)


def choices(of: Clusters) -> dict[Endpoint, Endpoint | None]:
    return {client: of.choose(NEAR, client, None) for client in CLIENTS}


def silence(of: Clusters, *dead: Endpoint) -> list[Endpoint]:
    """All but those answer for as long as it takes; whom `ask` has found dead."""
    found: list[Endpoint] = []
    for tick in range(1, int(SILENCE / ASK) + 3):
        now = 100.0 + tick * ASK
        _, asked, lost = of.ask(now)
        found += lost
        for relay in asked:
            if relay not in dead:
                of.heard(relay, now)
    return found


def test_clients_are_spread_evenly_and_by_everybody_alike() -> None:
    first, second = choices(clusters()), choices(clusters())
    assert first == second
    counts = Counter(first.values())
    assert set(counts) == set(RELAYS)
    assert min(counts.values()) > len(CLIENTS) / len(RELAYS) * 0.8


def test_the_loss_of_one_moves_its_clients_and_no_others() -> None:
    of = clusters()
    before = choices(of)
    assert silence(of, RELAYS[2]) == [RELAYS[2]]
    after = choices(of)
    assert all(after[c] == before[c] for c in CLIENTS if before[c] != RELAYS[2])
    assert RELAYS[2] not in after.values()
    of.heard(RELAYS[2], 200.0)
    assert choices(of) == before


def test_a_flow_stays_while_its_relay_lives() -> None:
    of = clusters()
    client = CLIENTS[0]
    other = next(relay for relay in RELAYS if relay != of.choose(NEAR, client, None))
    assert of.choose(NEAR, client, other) == other
    silence(of, other)
    assert of.choose(NEAR, client, other) == of.choose(NEAR, client, None) != other


def test_if_none_answers_flows_stay_and_clients_get_a_guess() -> None:
    of = clusters()
    before = choices(of)
    assert set(silence(of, *RELAYS, ALONE)) == {*RELAYS, ALONE}
    assert choices(of) == before
    assert of.choose(NEAR, CLIENTS[0], RELAYS[3]) == RELAYS[3]


def test_an_unknown_cluster_has_none() -> None:
    of = clusters()
    assert of.choose(ClusterId(3), CLIENTS[0], None) is None
    assert of.choose(ClusterId(3), CLIENTS[0], RELAYS[0]) is None
    assert (ALONE in of, Endpoint("10.0.0.9", 1) in of) == (True, False)
    of.heard(Endpoint("10.0.0.9", 1), 100.0)


def test_everybody_is_asked_and_a_death_is_told_once() -> None:
    of = clusters()
    assert of.next_timeout() == 100.0
    number, asked, dead = of.ask(100.0)
    assert (set(asked), dead) == ({*RELAYS, ALONE}, [])
    assert of.next_timeout() == 100.0 + ASK
    assert of.ask(100.1) == (0, (), ())
    assert of.ask(100.0 + ASK)[0] == number + 1
    _, _, dead = of.ask(100.0 + SILENCE + ASK)
    assert set(dead) == {*RELAYS, ALONE}
    assert not of.ask(100.0 + SILENCE + 2 * ASK)[2]


def test_operators_see_who_answers() -> None:
    of = clusters()
    assert of.view() == {NEAR: dict.fromkeys(RELAYS, True), FAR: {ALONE: True}}
    silence(of, RELAYS[2])
    assert of.view()[NEAR] == {relay: relay != RELAYS[2] for relay in RELAYS}
    of.heard(RELAYS[2], 200.0)
    assert all(of.view()[NEAR].values())


def test_without_clusters_there_is_nothing_to_do() -> None:
    of = Clusters({}, 100.0)
    assert of.next_timeout() is None
    assert of.ask(1000.0) == (0, (), ())


def test_relays_come_and_go_and_what_is_known_of_the_others_stays() -> None:
    of = clusters()
    assert silence(of, RELAYS[2]) == [RELAYS[2]]
    kept, exact = RELAYS[1:], {NEAR, FAR}
    assert of.replace({NEAR: kept}, 105.0, exact) == [RELAYS[0], ALONE]
    assert ALONE not in of
    assert of.choose(FAR, CLIENTS[0], ALONE) is None
    assert set(choices(of).values()) == {RELAYS[1], RELAYS[3]}  # one of them is dead still
    assert of.replace({NEAR: RELAYS}, 105.0, exact) == []
    assert set(choices(of).values()) == {RELAYS[0], RELAYS[1], RELAYS[3]}
    assert sorted(of.replace({}, 105.0, exact)) == RELAYS
    assert of.next_timeout() is None
    of.replace({NEAR: RELAYS}, 200.0)
    assert of.next_timeout() == 200.0
    assert of.ask(200.0)[1:] == (tuple(RELAYS), [])  # all are taken to live


def test_who_is_not_told_of_any_more_counts_until_it_has_long_been_silent() -> None:
    of = clusters()
    assert silence(of, RELAYS[2]) == [RELAYS[2]]
    assert of.replace({NEAR: RELAYS[:1]}, 103.0) == []
    assert set(choices(of).values()) == {RELAYS[0], RELAYS[1], RELAYS[3]}
    of.heard(RELAYS[2], 103.0)
    of.replace({NEAR: RELAYS[:1]}, 103.5)
    assert set(choices(of).values()) == set(RELAYS)
    lost: list[Endpoint] = []
    now = 104.0
    while now < 103.0 + LINGER + 2 * ASK:
        _, asked, dead = of.ask(now)
        lost += dead
        for relay in asked:
            if relay in RELAYS[:2]:
                of.heard(relay, now)
        now += ASK
        if now == 110.0:
            assert set(choices(of).values()) == set(RELAYS[:2])
            assert of.choose(FAR, CLIENTS[0], None) == ALONE  # a guess is better than nothing
    assert sorted(lost) == [*RELAYS[2:], ALONE]
    assert ALONE not in of
    assert of.choose(FAR, CLIENTS[0], ALONE) is None
    assert set(choices(of).values()) == set(RELAYS[:2])
    of.heard(ALONE, now)  # too late
    assert ALONE not in of
    assert of.replace({NEAR: RELAYS[:2]}, now + 2 * LINGER) == []
