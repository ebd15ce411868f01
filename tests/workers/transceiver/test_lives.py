"""Two lines a session, in the words that operators look for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from config.ids import Endpoint, SessionId, Transport
from ipc.backend.messages import ClientHints
from ipc.messages.sessions import CloseReason
from tests.support.quiet_log import LogLines
from workers.transceiver.core.interface import (
    Created,
    Fared,
    FromSession,
    Path,
    PathSelected,
    SessionClosed,
    StateChanged,
)
from workers.transceiver.core.states import SessionState
from workers.transceiver.core.streams.interface import StreamStats
from workers.transceiver.lives import Lives

ID = SessionId("rtc_1")
PATH = Path(Transport.UDP, Endpoint("198.51.100.1", 4000), Endpoint("192.0.2.1", 3478))
CREATED = Created(0, ID, "", "agent", "", None, False, {}, ClientHints("", "", ""))


@pytest.fixture
def lines() -> Iterator[LogLines]:
    lines = LogLines()
    yield lines
    lines.close()


def said(lines: LogLines) -> list[dict[str, object]]:
    """What of each line is not the same in all."""
    return [
        {name: line[name] for name in line if name not in ("worker", "pid", "timestamp", "level")}
        for line in lines.lines()
    ]


def live(lives: Lives, *outputs: tuple[float, PathSelected | StateChanged | SessionClosed]) -> None:
    for at, output in outputs:
        lives.hear(FromSession(ID, output), at)


def test_a_call_that_went_well(lines: LogLines) -> None:
    lives = Lives(lines.log)
    lives.begin(CREATED, 10.0)
    live(
        lives,
        (10.05, PathSelected(PATH)),
        (10.05, StateChanged(SessionState.CHECKING)),
        (10.08, StateChanged(SessionState.CONNECTED)),
    )
    media = StreamStats(packets_in=500, lost=3, jitter=0.002, packets_out=490)
    closed = SessionClosed(CloseReason.HANGUP, fared=Fared(media, 1))
    live(lives, (20.0, StateChanged(SessionState.CLOSED)), (20.0, closed))
    assert said(lines) == [
        {
            "event": "session connected",
            "session": ID,
            "backend": "agent",
            "path": "198.51.100.1:4000>192.0.2.1:3478/udp",
            "ice_ms": 50.0,
            "dtls_ms": 30.0,
        },
        {
            "event": "session ended",
            "session": ID,
            "reason": "hangup",
            "backend": "agent",
            "connected": True,
            "seconds": 10.0,
            "packets_in": 500,
            "lost_in": 3,
            "jitter_ms": 2.0,
            "packets_out": 490,
            "lost_out": 1,
        },
    ]


def test_a_client_that_never_came(lines: LogLines) -> None:
    lives = Lives(lines.log)
    lives.begin(CREATED, 10.0)
    live(lives, (40.0, SessionClosed(CloseReason.CONNECT_TIMEOUT, "no valid check")))
    assert said(lines) == [
        {
            "event": "session ended",
            "session": ID,
            "reason": "connect_timeout",
            "why": "no valid check",
            "backend": "agent",
            "connected": False,
            "seconds": 30.0,
        }
    ]


def test_one_that_its_back_end_did_not_take(lines: LogLines) -> None:
    lives = Lives(lines.log)
    live(lives, (10.0, SessionClosed(CloseReason.BACKEND_ENDED)))
    assert said(lines) == [{"event": "session ended", "session": ID, "reason": "backend_ended"}]
