"""The last ends are known, and no more of them."""

from __future__ import annotations

from config.ids import SessionId
from ipc.messages.sessions import CloseReason
from workers.transceiver.core.ended import REMEMBERED, Ended


def test_the_last_ones_are_known_and_the_others_forgotten() -> None:
    ended = Ended()
    for n in range(REMEMBERED + 1):
        ended.add(SessionId(f"rtc_{n}"), CloseReason.IDLE)
    assert ended.why(SessionId("rtc_0")) is None
    assert ended.why(SessionId("rtc_1")) is CloseReason.IDLE
    assert ended.why(SessionId(f"rtc_{REMEMBERED}")) is CloseReason.IDLE
    assert ended.why(SessionId("rtc_x")) is None
