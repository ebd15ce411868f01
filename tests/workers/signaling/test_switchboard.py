"""The switchboard: another try for a transceiver that fails, hang-ups to the owner."""

from __future__ import annotations

import msgspec
import pytest
import trio.testing

from config.ids import Endpoint
from ipc.messages.fleet import FleetHost, FleetPlace, FleetView
from ipc.messages.routes import Transceivers
from ipc.messages.sessions import CreateSession, Problem, SessionRefused, WatchSessions
from tests.support.signaling import (
    ANSWER,
    CLUSTER,
    KEYS,
    OFFER,
    FakeTransceivers,
    entry,
    other_host,
    route,
    switchboard_with,
)
from workers.http.problems import ProblemKind, Refused
from workers.signaling.elsewhere import Elsewhere
from workers.signaling.switchboard import ELSEWHERE, Gone, Switchboard
from workers.signaling.whereabouts import Location, Whereabouts

CREATE = CreateSession(offer=OFFER)


async def test_an_offer_becomes_a_session() -> None:
    line = FakeTransceivers()
    created = await switchboard_with(line, entry(0)).create(CREATE)
    assert created.answer == ANSWER
    assert line.sessions[created.session].offer == OFFER


async def test_a_silent_transceiver_costs_one_try() -> None:
    line = FakeTransceivers()
    line.silent.add("fake-0")
    created = await switchboard_with(line, entry(0), entry(1, sessions=9)).create(CREATE)
    assert created.session in line.sessions
    assert line.asked == {"fake-0": 1, "fake-1": 1}


async def test_two_silent_ones_are_the_end() -> None:
    line = FakeTransceivers()
    line.silent |= {"fake-0", "fake-1", "fake-2"}
    with pytest.raises(Refused) as refused:
        await switchboard_with(line, entry(0), entry(1), entry(2)).create(CREATE)
    assert refused.value.kind is ProblemKind.NO_ANSWER
    assert line.asked.total() == 2


async def test_a_single_silent_one_is_reported_as_such_not_as_full() -> None:
    line = FakeTransceivers()
    line.silent.add("fake-0")
    with pytest.raises(Refused) as refused:
        await switchboard_with(line, entry(0)).create(CREATE)
    assert refused.value.kind is ProblemKind.NO_ANSWER
    assert refused.value.kind.status == 504


async def test_a_transceiver_that_ends_while_it_is_asked_has_ended_the_session() -> None:
    line = FakeTransceivers()
    switchboard = switchboard_with(line, entry(0))
    created = await switchboard.create(CREATE)
    line.gone.add("fake-0")
    await switchboard.end(created.session)
    with pytest.raises(Refused) as refused:
        await switchboard.patch(created.session, "", ())
    assert refused.value.kind is ProblemKind.UNKNOWN_SESSION


async def test_a_transceiver_that_ends_while_it_is_offered_a_session_costs_one_try() -> None:
    line = FakeTransceivers()
    line.gone.add("fake-0")
    await switchboard_with(line, entry(0), entry(1, sessions=9)).create(CREATE)
    assert line.asked == {"fake-0": 1, "fake-1": 1}


@pytest.mark.parametrize("problem", [Problem.FULL, Problem.DRAINING, Problem.BACKEND_AWAY])
async def test_one_that_became_full_meanwhile_costs_one_try(problem: Problem) -> None:
    line = FakeTransceivers()
    line.refusing["fake-0"] = SessionRefused(problem, "sorry")
    await switchboard_with(line, entry(0), entry(1, sessions=9)).create(CREATE)
    assert line.asked == {"fake-0": 1, "fake-1": 1}


@pytest.mark.parametrize("problem", [Problem.NOTHING_IN_COMMON, Problem.INTERNAL_ERROR])
async def test_what_lies_in_the_offer_is_not_tried_again(problem: Problem) -> None:
    line = FakeTransceivers()
    line.refusing["fake-0"] = SessionRefused(problem, "only video was offered")
    with pytest.raises(Refused, match="only video"):
        await switchboard_with(line, entry(0), entry(1, sessions=9)).create(CREATE)
    assert line.asked == {"fake-0": 1}


async def test_a_hang_up_goes_to_the_owner_even_while_it_drains() -> None:
    line = FakeTransceivers()
    switchboard = switchboard_with(line, entry(0, sessions=9), entry(1))
    created = await switchboard.create(CREATE)
    draining = switchboard_with(line, entry(0), entry(1, accepting=False))
    await draining.end(created.session)
    assert line.sessions == {}
    assert line.asked == {"fake-1": 2}
    with pytest.raises(Refused) as refused:
        await draining.end(created.session)
    assert refused.value.kind is ProblemKind.UNKNOWN_SESSION


FOREIGN = KEYS.mint(route(5), bytes(6))


@pytest.mark.parametrize(
    "session",
    [
        "",
        "rtc_7_",
        "rtc_7_" + "k" * 23,
        "rtc_7_" + "!" * 23,
        f"rtc_8_{FOREIGN}",
        f"rtc_7_{FOREIGN}",
        f"rtc_7_{FOREIGN}x",
        f"RTC_7_{FOREIGN}",
        "rtc_99999999999_" + FOREIGN,
        "rtc_7_" + "k" * 100_000,
    ],
)
async def test_ids_that_are_not_ours_ask_nobody(session: str) -> None:
    line = FakeTransceivers()
    with pytest.raises(Refused) as refused:
        await switchboard_with(line, entry(0)).end(session)
    assert refused.value.kind is ProblemKind.UNKNOWN_SESSION
    assert not line.asked


async def test_an_id_that_names_another_cluster_than_its_ufrag_is_not_ours() -> None:
    line = FakeTransceivers()
    switchboard = switchboard_with(line, entry(0))
    created = await switchboard.create(CREATE)
    assert switchboard.owner(created.session) is not None
    assert switchboard.owner(created.session.replace("rtc_7_", "rtc_8_")) is None


async def test_lines_to_transceivers_that_are_gone_are_let_go() -> None:
    line = FakeTransceivers()
    switchboard_with(line, entry(0), entry(4, accepting=False))
    assert line.kept == {"fake-0", "fake-4"}


# --- other hosts --------------------------------------------------------------------------------------

FULL = SessionRefused(Problem.FULL, "no room")
NEAR, NEXT = "tcp://10.0.0.1:3481", "tcp://10.0.0.2:3481"


async def test_own_transceivers_come_first() -> None:
    line = FakeTransceivers()
    switchboard = switchboard_with(line, entry(0, sessions=99), others=(other_host(1),))
    await switchboard.create(CREATE)
    assert line.asked == {"fake-0": 1}
    assert switchboard.placed == {"here": 1}


@pytest.mark.parametrize("why", ["full", "draining", "not ready", "silent"])
async def test_what_this_host_cannot_take_goes_to_another_and_stays_there(why: str) -> None:
    line = FakeTransceivers()
    switchboard = switchboard_with(line, entry(0), others=(other_host(1),))
    match why:
        case "full":
            line.refusing["fake-0"] = FULL
        case "draining":
            switchboard.update(Transceivers((entry(0),), draining=True))
        case "not ready":
            switchboard.update(Transceivers((entry(0, accepting=False),)))
        case _:
            line.silent.add("fake-0")
    created = await switchboard.create(CREATE)
    assert line.asked[NEAR] == 1
    assert switchboard.placed == {"elsewhere": 1}
    patched = await switchboard.patch(created.session, "a=x", ())
    assert patched.fragment
    await switchboard.end(created.session)
    assert line.asked[NEAR] == 3
    assert not line.sessions


async def test_what_no_other_host_takes_is_refused_for_our_own_reason() -> None:
    line = FakeTransceivers()
    hosts = tuple(other_host(number) for number in range(1, 6))
    switchboard = switchboard_with(line, entry(0), others=hosts)
    line.refusing = {f"tcp://10.0.0.{n}:3481": FULL for n in range(1, 6)}
    switchboard.update(Transceivers((entry(0),), draining=True))
    with pytest.raises(Refused) as refused:
        await switchboard.create(CREATE)
    assert refused.value.kind is ProblemKind.DRAINING
    assert line.asked.total() == ELSEWHERE
    assert switchboard.placed == {"refused_elsewhere": ELSEWHERE}


async def test_a_host_that_does_not_answer_is_not_asked_again_soon(
    autojump_clock: trio.testing.MockClock,
) -> None:
    line = FakeTransceivers()
    line.silent.add(NEAR)
    switchboard = switchboard_with(line, others=(other_host(1), other_host(2, sessions=50)))
    for _ in range(3):
        await switchboard.create(CREATE)
    assert line.asked == {NEAR: 1, NEXT: 3}


@pytest.mark.parametrize(
    ("problem", "asked"), [(Problem.NOTHING_IN_COMMON, 1), (Problem.UNKNOWN_BACKEND, 2)]
)
async def test_what_lies_in_the_offer_is_not_carried_round(problem: Problem, asked: int) -> None:
    """A back end that one host lacks another may have; only video is only video everywhere."""
    line = FakeTransceivers()
    line.refusing = dict.fromkeys((NEAR, NEXT), SessionRefused(problem, "sorry"))
    switchboard = switchboard_with(line, others=(other_host(1), other_host(2)))
    with pytest.raises(Refused) as refused:
        await switchboard.create(CREATE)
    assert line.asked.total() == asked
    ours = problem is Problem.UNKNOWN_BACKEND
    assert refused.value.kind is (ProblemKind.NOT_READY if ours else ProblemKind.NOTHING_IN_COMMON)


async def test_another_cluster_names_relays_of_its_own() -> None:
    line = FakeTransceivers()
    at = (Endpoint("203.0.113.1", 3478),)
    wanted = msgspec.structs.replace(CREATE, advertise=at)
    for cluster, named in ((7, at), (8, ())):
        switchboard = switchboard_with(line, others=(other_host(1, cluster=cluster),))
        created = await switchboard.create(wanted)
        assert line.sessions[created.session].advertise == named


async def test_calls_of_a_key_are_counted_on_all_hosts() -> None:
    line = FakeTransceivers()
    wanted = msgspec.structs.replace(CREATE, claims={"key": "shop"})
    line.refusing["fake-0"] = FULL
    switchboard = switchboard_with(line, entry(0), others=(other_host(1), other_host(2)))
    await switchboard.create(wanted, at_most=1)
    with pytest.raises(Refused) as refused:
        await switchboard.create(wanted, at_most=1)
    assert refused.value.kind is ProblemKind.QUOTA


async def test_readiness_is_what_an_offer_would_meet() -> None:
    line = FakeTransceivers()
    assert not switchboard_with(line).ready
    assert switchboard_with(line, others=(other_host(1),)).ready
    assert not switchboard_with(line, others=(other_host(1, accepting=False),)).ready


async def test_sessions_of_a_host_that_is_gone_are_over() -> None:
    line = FakeTransceivers()
    switchboard = switchboard_with(line, others=(other_host(1),))
    created = await switchboard.create(CREATE)
    assert list(line.doors) == [NEAR]
    switchboard.learn(FleetView(()))
    assert not line.doors
    with pytest.raises(Refused) as refused:
        await switchboard.end(created.session)
    assert refused.value.kind is ProblemKind.UNKNOWN_SESSION
    with pytest.raises(Gone):
        await switchboard.watch(route(1), WatchSessions())


PARIS = Whereabouts(Location(48.9, 2.35))


def by_distance(line: FakeTransceivers, *others: FleetHost, own: bool = True) -> Switchboard:
    """Of a host in Virginia."""
    elsewhere = Elsewhere(CLUSTER, FleetPlace("", (39.0, -77.5)))
    switchboard = Switchboard(KEYS, line, answer_within=10.0, elsewhere=elsewhere)
    switchboard.update(Transceivers((entry(0),) if own else ()))
    switchboard.learn(FleetView(others))
    return switchboard


def in_frankfurt(number: int, cluster: int = 8) -> FleetHost:
    place = FleetPlace("", (50.1, 8.7))
    return msgspec.structs.replace(other_host(number, cluster=cluster), place=place)


async def test_a_call_is_placed_at_a_nearer_host_whose_cluster_names_its_own_relays() -> None:
    line = FakeTransceivers()
    wanted = msgspec.structs.replace(CREATE, advertise=(Endpoint("203.0.113.1", 3478),))
    switchboard = by_distance(line, in_frankfurt(1))
    created = await switchboard.create(wanted, PARIS)
    assert line.sessions[created.session].advertise == ()
    assert switchboard.placed == {"elsewhere": 1}
    await switchboard.create(wanted)
    await switchboard.create(wanted, Whereabouts(Location(40.7, -74.0)))
    assert switchboard.placed == {"elsewhere": 1, "here": 2}


async def test_nearer_hosts_that_do_not_take_a_call_leave_it_to_us_and_then_to_others() -> None:
    line = FakeTransceivers()
    far = [in_frankfurt(number) for number in (1, 2, 3)]
    for number in (1, 2, 3):
        line.refusing[f"tcp://10.0.0.{number}:3481"] = FULL
    switchboard = by_distance(line, *far)
    await switchboard.create(CREATE, PARIS)
    assert switchboard.placed == {"refused_elsewhere": 2, "here": 1}
    alone = by_distance(line, *far, other_host(4), own=False)
    with pytest.raises(Refused):  # three hosts are asked, and no more
        await by_distance(line, *far, own=False).create(CREATE, PARIS)
    await alone.create(CREATE, PARIS)
    assert alone.placed == {"refused_elsewhere": 2, "elsewhere": 1}


async def test_an_offer_that_a_nearer_host_cannot_read_nobody_can() -> None:
    line = FakeTransceivers()
    line.refusing[NEAR] = SessionRefused(Problem.MALFORMED_SDP, "line 1")
    with pytest.raises(Refused) as refused:
        await by_distance(line, in_frankfurt(1)).create(CREATE, PARIS)
    assert refused.value.kind is ProblemKind.MALFORMED_SDP
    assert not line.asked["fake-0"]
