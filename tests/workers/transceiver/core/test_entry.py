"""A session as `tandem sessions` shows it."""

from __future__ import annotations

from tests.support.transceiver import PUBLIC, Rig
from workers.transceiver.core.interface import ForSession, SendAudio
from workers.transceiver.core.offer import OPUS


def test_before_anybody_came_it_shows_what_was_agreed() -> None:
    rig = Rig()
    caller = rig.call()
    (row,) = rig.sessions.summaries(1, rig.now + 2)
    assert (row.session, row.state, row.path) == (caller.id, "waiting", "")
    assert row.codec == OPUS.name
    assert (row.packets_in, row.packets_out, row.lost, row.jitter_ms) == (0, 0, 0, 0)
    assert row.age == 2


def test_a_live_one_shows_its_path_and_what_it_lost() -> None:
    rig = Rig()
    caller = rig.connect()
    for index in range(10):
        if index == 4:
            caller.session.handle(caller_frame(index), rig.now)  # never reaches the relay
        else:
            caller.do(caller_frame(index))
        rig.run(0.02)
    (row,) = rig.sessions.summaries(1, rig.now)
    assert (row.state, row.path) == ("connected", f"{caller.address}>{PUBLIC}/udp")
    assert (row.packets_in, row.packets_out, row.lost) == (9, 9, 1)
    assert row.jitter_ms > 0


def test_what_the_client_reports_is_in_its_row() -> None:
    rig = Rig()
    caller = rig.connect()
    (row,) = rig.sessions.summaries(1, rig.now)
    assert (row.peer_lost, row.peer_jitter_ms) == (None, None)
    for index in range(400):
        caller.do(caller_frame(index))
        rig.do(ForSession(caller.id, caller_frame(index)))
        rig.run(0.02)
    (row,) = rig.sessions.summaries(1, rig.now)
    assert row.peer_lost == 0
    assert row.peer_jitter_ms is not None
    assert row.round_trip_ms is not None
    assert row.round_trip_ms < 100


def caller_frame(index: int) -> SendAudio:
    return SendAudio(b"frame", index * 960, OPUS.payload_type)
