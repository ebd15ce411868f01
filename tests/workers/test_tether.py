"""When a worker says Hello, feels orphaned, and gives up."""

from __future__ import annotations

from workers.tether import Beat, Tether


def test_a_new_process_says_hello_until_it_is_welcomed() -> None:
    tether = Tether(orphan_timeout=300, now=0)
    assert tether.beat(connection=0) is Beat.HELLO
    assert tether.beat(connection=1) is Beat.HELLO
    assert not tether.changed(1000)
    assert not tether.gave_up(1000)
    assert not tether.welcomed(11, connection=1, now=1000)
    assert tether.beat(connection=1) is Beat.HEARTBEAT


def test_a_new_connection_is_greeted_first() -> None:
    tether = Tether(orphan_timeout=300, now=0)
    tether.welcomed(11, connection=1, now=0)
    assert tether.beat(connection=2) is Beat.HELLO
    assert not tether.knows(2)
    assert tether.welcomed(12, connection=2, now=1), "another supervisor"
    assert not tether.welcomed(12, connection=3, now=2), "the same one"
    assert tether.beat(connection=3) is Beat.HEARTBEAT


def test_silence_makes_an_orphan_once() -> None:
    tether = Tether(orphan_timeout=300, now=0)
    tether.welcomed(11, connection=1, now=0)
    tether.answered(10)
    assert not tether.changed(14.9)
    assert tether.changed(15)
    assert tether.orphaned
    assert not tether.changed(16)
    assert tether.beat(connection=1) is Beat.HELLO, "the silent one may have forgotten us"


def test_an_answer_ends_the_orphanhood() -> None:
    tether = Tether(orphan_timeout=300, now=0)
    tether.welcomed(11, connection=1, now=0)
    assert tether.changed(16)
    tether.welcomed(11, connection=1, now=17)
    assert tether.changed(17)
    assert not tether.orphaned
    assert tether.beat(connection=1) is Beat.HEARTBEAT


def test_an_orphan_gives_up_after_its_timeout_since_the_last_answer() -> None:
    tether = Tether(orphan_timeout=60, now=0)
    tether.welcomed(11, connection=1, now=0)
    tether.answered(100)
    assert not tether.gave_up(159.9)
    assert tether.gave_up(160)
