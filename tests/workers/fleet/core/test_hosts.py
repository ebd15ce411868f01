"""Who lives is who is heard; silence counts only while there is something to hear."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from config.ids import ClusterId, Endpoint, Epoch, HostId, Route, TransceiverId
from ipc.codec import encode
from ipc.messages.fleet import FleetDoor, FleetHost, FleetPlace, FleetTransceiver, FleetView
from workers.fleet.core.hosts import MOST, SILENT, STALE, Hosts, Way, lasting
from workers.fleet.core.notice import Beat

OWN = HostId("f" * 16)
A, B = HostId("a" * 16), HostId("b" * 16)


def host(name: HostId, state: str = "ready", relays: int = 1) -> FleetHost:
    links = tuple(Endpoint("10.0.0.1", 1 + n) for n in range(relays))
    one = FleetTransceiver(Route(ClusterId(0), TransceiverId(1), Epoch(1)), links[0])
    return FleetHost(name, ClusterId(0), state, relays=links, transceivers=(one,))


def beat(
    name: HostId, count: int, version: int = 1, incarnation: int = 1, sessions: int = 0
) -> Beat:
    return Beat(name, incarnation, version, count, sessions)


def hear(hosts: Hosts, what: Beat, way: Way = Way.REDIS, state: str = "ready") -> bool:
    wanted = hosts.wants(what, way)
    if wanted:
        hosts.learn(what, host(what.host, state), way)
    return wanted


def names(hosts: Hosts) -> list[str]:
    return [each.host for each in hosts.view()]


def test_a_host_is_asked_for_once_a_version() -> None:
    hosts = Hosts(OWN, 1)
    assert hear(hosts, beat(A, 1))
    assert not hear(hosts, beat(A, 2, sessions=7))
    assert hosts.view()[0].sessions == 7
    assert hear(hosts, beat(A, 3, version=2), state="draining")
    assert hosts.view()[0].state == "draining"
    assert hear(hosts, beat(A, 1, version=2, incarnation=2))


def test_ourselves_we_do_not_see() -> None:
    hosts = Hosts(OWN, 1)
    assert not hosts.wants(beat(OWN, 1), Way.REDIS)
    hosts.learn(beat(OWN, 1), host(OWN), Way.REDIS)
    hosts.recall([host(OWN)], [Way.REDIS])
    assert not hosts.view()
    assert not hosts.refused
    assert not hosts.wants(beat(OWN, 1, incarnation=2), Way.PEER)
    assert hosts.refused == {"our_own_name": 1}


def test_silence_makes_stale_and_then_gone() -> None:
    hosts = Hosts(OWN, 1)
    hear(hosts, beat(A, 1))
    hosts.pass_time(Way.REDIS, STALE)
    assert hosts.view()[0].fresh
    hosts.pass_time(Way.REDIS, 0.5)
    assert not hosts.view()[0].fresh
    assert hosts.view()[0].silence == STALE + 0.5
    hear(hosts, beat(A, 2))
    assert hosts.view()[0].fresh
    hosts.pass_time(Way.REDIS, SILENT)
    assert names(hosts) == [A]
    hosts.pass_time(Way.REDIS, 0.1)
    assert not names(hosts)


def test_the_same_beat_again_is_no_sign_of_life() -> None:
    hosts = Hosts(OWN, 1)
    for _ in range(30):
        hear(hosts, beat(A, 1))
        hosts.pass_time(Way.REDIS, 0.5)
    assert not names(hosts)


def test_who_is_gone_from_another_cluster_does_not_come_back_when_ours_is_looked_at() -> None:
    """Perhaps nobody of that cluster is left who would take it out."""
    hosts, ours, other = Hosts(OWN, 1), ClusterId(7), ClusterId(0)
    assert hear(hosts, beat(A, 5))
    hosts.pass_time(Way.REDIS, SILENT + 1)
    assert hosts.gone(ours, {B: beat(B, 1)}) == ()
    assert not hosts.wants(beat(A, 5), Way.REDIS)
    assert hosts.gone(other, {A: beat(A, 5)}) == (A,)
    assert hosts.gone(other, {}) == ()
    assert hosts.wants(beat(A, 5), Way.REDIS)


def test_who_is_gone_does_not_come_back_by_what_was_left_of_it() -> None:
    hosts = Hosts(OWN, 1)
    hear(hosts, beat(A, 1))
    hosts.pass_time(Way.REDIS, SILENT + 1)
    assert not hear(hosts, beat(A, 1))
    assert hosts.gone(ClusterId(0), {A: beat(A, 1), B: beat(B, 1)}) == (A,)
    assert hear(hosts, beat(A, 2))
    assert names(hosts) == [A]
    assert hosts.gone(ClusterId(0), {A: beat(A, 2)}) == ()


def test_who_has_said_something_since_is_not_taken_out() -> None:
    """Though what it is could not be read yet."""
    hosts = Hosts(OWN, 1)
    hear(hosts, beat(A, 1))
    hosts.pass_time(Way.REDIS, SILENT + 1)
    assert hosts.wants(beat(A, 2), Way.REDIS)
    assert hosts.gone(ClusterId(0), {A: beat(A, 2)}) == ()


def test_while_nothing_can_be_heard_nobody_grows_older() -> None:
    hosts = Hosts(OWN, 1)
    hear(hosts, beat(A, 1))
    hear(hosts, beat(B, 1), Way.PEER)
    hosts.pass_time(Way.PEER, SILENT + 1)  # Redis is away meanwhile
    assert names(hosts) == [A]


def test_one_way_is_enough_to_live() -> None:
    hosts = Hosts(OWN, 1)
    hear(hosts, beat(A, 1))
    hear(hosts, beat(A, 1), Way.PEER)
    for n in range(60):
        hosts.pass_time(Way.REDIS, 0.5)
        hosts.pass_time(Way.PEER, 0.5)
        hear(hosts, beat(A, 2 + n), Way.PEER)
    assert hosts.view()[0].fresh


def test_what_was_overtaken_counts_for_nothing() -> None:
    hosts = Hosts(OWN, 1)
    hear(hosts, beat(A, 5, version=2), Way.PEER, "draining")
    assert not hear(hosts, beat(A, 4, version=1), Way.PEER, "ready")
    assert hosts.view()[0].state == "draining"


def test_a_successor_begins_with_what_was_known() -> None:
    hosts = Hosts(OWN, 1)
    hosts.recall([host(A)], [Way.REDIS, Way.PEER])
    assert names(hosts) == [A]
    assert hear(hosts, beat(A, 1))
    hosts.recall([host(A, "draining"), host(B)], [Way.REDIS])
    assert [each.state for each in hosts.view()] == ["ready", "ready"]
    hosts.pass_time(Way.PEER, SILENT + 1)
    assert names(hosts) == [A, B]


def test_no_number_of_hosts_is_too_much_for_a_message() -> None:
    hosts = Hosts(OWN, 1)
    for n in range(MOST + 5):
        hear(hosts, beat(HostId(f"{n:016x}"), 1))
    assert len(hosts.view()) == MOST
    assert hosts.refused == {"too_many": 5}
    few = Hosts(OWN, 1)
    for n in range(200):
        few.learn(beat(HostId(f"{n:016x}"), 1), host(A, relays=500), Way.REDIS)
    assert few.refused["too_many"]
    encode(FleetView(few.view()))
    few.pass_time(Way.REDIS, SILENT + 1)
    assert few._size == 0
    wordy = Hosts(OWN, 1)
    link = Endpoint("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 65_535)
    for n in range(MOST):
        said = msgspec.structs.replace(
            host(HostId(f"{n:016x}"), "cordoned", relays=4),
            door=FleetDoor(link, "k" * 40, 1 << 62, False),
            place=FleetPlace("\U0001f5e3" * 64, (-12.345678, -123.456789)),
            ingress=link,
            crowded=True,
        )
        wordy.learn(beat(said.host, 1, sessions=1 << 62), said, Way.REDIS)
        wordy.wants(beat(said.host, 2, sessions=1 << 62), Way.REDIS)
    wordy.pass_time(Way.REDIS, STALE + 1.7)
    assert wordy.refused["too_many"]
    encode(FleetView(wordy.view()))


def test_numbers_of_sessions_and_silence_are_no_news() -> None:
    hosts = Hosts(OWN, 1)
    hear(hosts, beat(A, 1, sessions=1))
    before = lasting(hosts.view())
    hear(hosts, beat(A, 2, sessions=2))
    hosts.pass_time(Way.REDIS, 1.0)
    assert lasting(hosts.view()) == before


@given(
    st.lists(
        st.tuples(
            st.sampled_from([A, B, OWN]),
            st.sampled_from(Way),
            st.integers(1, 3),
            st.integers(1, 3),
            st.integers(0, 9),
        )
        | st.tuples(st.sampled_from(Way), st.floats(0, 6))
    )
)
def test_whatever_comes_the_sizes_add_up(steps: list[tuple[object, ...]]) -> None:
    hosts = Hosts(OWN, 1)
    for step in steps:
        match step:
            case (str() as name, Way() as way, int(incarnation), int(version), int(count)):
                hear(hosts, beat(HostId(name), count, version, incarnation), way)
            case (Way() as way, float(seconds)):
                hosts.pass_time(way, seconds)
            case _:
                raise AssertionError(step)
        view = hosts.view()
        assert hosts._size == sum(known.size for known in hosts._known.values())
        assert hosts._size >= sum(len(msgspec.msgpack.encode(each)) for each in view)
        assert all(each.host != OWN for each in view)
