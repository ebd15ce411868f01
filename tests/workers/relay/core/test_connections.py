"""Who may stay connected."""

from __future__ import annotations

from workers.relay.core.connections import VOUCHED_WITHIN, Connections, Ending

HERE = "192.0.2.1"


def small() -> Connections[str]:
    return Connections(most=4, strangers=3, of_source=2)


def test_the_oldest_stranger_makes_room_for_the_newest() -> None:
    guests = small()
    for number in range(3):
        assert guests.admit(f"s{number}", f"192.0.2.{number}", 0.0) == (None, None)
    assert guests.admit("new", "198.51.100.1", 0.0) == (None, "s0")
    assert len(guests) == 3


def test_a_source_fills_only_its_own_places() -> None:
    guests = small()
    assert guests.admit("a", HERE, 0.0) == (None, None)
    assert guests.admit("b", HERE, 0.0) == (None, None)
    assert guests.admit("c", HERE, 0.0) == (Ending.SOURCE_LIMIT, None)
    assert guests.admit("d", "192.0.2.2", 0.0) == (None, None)
    guests.leave("a")
    assert guests.admit("e", HERE, 0.0) == (None, None)


def test_an_ipv6_source_is_a_network() -> None:
    guests = small()
    guests.admit("a", "2001:db8::1", 0.0)
    guests.admit("b", "2001:db8::2", 0.0)
    assert guests.admit("c", "2001:db8::3", 0.0) == (Ending.SOURCE_LIMIT, None)
    assert guests.admit("d", "2001:db8:0:1::3", 0.0) == (None, None)


def test_who_is_vouched_for_stays_and_counts_for_no_source() -> None:
    guests = small()
    for name in "abcd":
        assert guests.admit(name, HERE, 0.0) == (None, None)
        guests.vouch(name)
    assert guests.admit("e", HERE, 0.0) == (Ending.FULL, None)
    assert list(guests.overdue(1000.0)) == []
    guests.leave("b")
    assert guests.admit("e", HERE, 0.0) == (None, None)
    assert guests.admit("f", HERE, 0.0) == (None, "e")


def test_a_stranger_has_little_time() -> None:
    guests = small()
    guests.admit("a", HERE, 0.0)
    guests.admit("b", HERE, 1.0)
    guests.vouch("nobody")
    assert list(guests.overdue(VOUCHED_WITHIN - 0.1)) == []
    assert list(guests.overdue(VOUCHED_WITHIN)) == ["a"]
    assert len(guests) == 1
    guests.vouch("a")
    assert len(guests) == 1


def test_a_stranger_of_another_worker_has_what_time_it_had_left() -> None:
    guests = small()
    assert guests.admit("a", HERE, 10.0, 1.5) == (None, None)
    assert guests.admit("b", HERE, 10.0) == (None, None)
    assert (guests.remaining("a", 11.0), guests.remaining("b", 11.0)) == (0.5, VOUCHED_WITHIN - 1)
    assert list(guests.overdue(11.5)) == ["a"]
    guests.vouch("b")
    assert guests.remaining("b", 11.5) is None
    assert guests.admit("c", HERE, 20.0, 1e9) == (None, None)
    assert list(guests.overdue(20.0 + VOUCHED_WITHIN)) == ["c"]
