"""When a worker says Hello, feels orphaned, and gives up."""

from __future__ import annotations

from workers.tether import Beat, Tether


def seconds_until_orphaned(tether: Tether, start: int, most: int = 1000) -> int | None:
    """Tick once a second from `start`; how many seconds until it feels orphaned."""
    for now in range(start, start + most):
        if tether.tick(now):
            return now - start if tether.orphaned else None
    return None


def test_a_new_process_says_hello_until_it_is_welcomed() -> None:
    tether = Tether(orphan_timeout=300, now=0)
    assert tether.beat(connection=0) is Beat.HELLO
    assert tether.beat(connection=1) is Beat.HELLO
    assert seconds_until_orphaned(tether, 0) is None
    assert not tether.gave_up
    assert not tether.welcomed(11, connection=1)
    assert tether.beat(connection=1) is Beat.HEARTBEAT


def test_a_new_connection_is_greeted_first() -> None:
    tether = Tether(orphan_timeout=300, now=0)
    tether.welcomed(11, connection=1)
    assert tether.beat(connection=2) is Beat.HELLO
    assert not tether.knows(2)
    assert tether.welcomed(12, connection=2), "another supervisor"
    assert not tether.welcomed(12, connection=3), "the same one"
    assert tether.beat(connection=3) is Beat.HEARTBEAT


def test_silence_makes_an_orphan_once() -> None:
    tether = Tether(orphan_timeout=300, now=0)
    tether.welcomed(11, connection=1)
    for now in range(100):
        assert not tether.tick(now)
        tether.answered()
    assert seconds_until_orphaned(tether, 99) == 5
    assert seconds_until_orphaned(tether, 105, most=100) is None
    assert tether.beat(connection=1) is Beat.HELLO, "the silent one may have forgotten us"


def test_an_answer_ends_the_orphanhood() -> None:
    tether = Tether(orphan_timeout=300, now=0)
    tether.welcomed(11, connection=1)
    assert seconds_until_orphaned(tether, 0) == 5
    tether.welcomed(11, connection=1)
    assert tether.tick(6)
    assert not tether.orphaned
    assert tether.beat(connection=1) is Beat.HEARTBEAT


def test_an_orphan_gives_up_after_its_timeout_since_the_last_answer() -> None:
    tether = Tether(orphan_timeout=60, now=0)
    tether.welcomed(11, connection=1)
    given_up = [now for now in range(100) if (tether.tick(now), tether.gave_up)[1]]
    assert given_up[0] == 60
    tether.answered()
    assert tether.gave_up is False


def test_a_short_orphan_timeout_is_an_orphanhood_too() -> None:
    tether = Tether(orphan_timeout=2, now=0)
    tether.welcomed(11, connection=1)
    assert seconds_until_orphaned(tether, 0) == 2
    assert tether.gave_up


def test_a_process_that_was_stopped_itself_blames_nobody() -> None:
    tether = Tether(orphan_timeout=60, now=0)
    tether.welcomed(11, connection=1)
    assert not tether.tick(1000)
    assert not tether.gave_up
