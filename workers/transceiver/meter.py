"""How much of the transceiver's time goes on media: what is served of turns, without what sets calls up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from config.ids import Instant
from workers.transceiver.core.interface import MediaTook, RecordReceived
from workers.transceiver.core.room import MEASURE_EVERY
from workers.transceiver.media.base import PlaneEvent
from workers.wire.link import RecordType

APPLICATION_DATA: Final = 23
"""First byte of a DTLS record of a data channel; those of a handshake, and of STUN, have a lower one."""
DATA: Final = RecordType.DATA


class Meter:
    """Sums up what turns took. Sans-IO."""

    def __init__(self, handle: Callable[[MediaTook, Instant], object], now: Instant) -> None:
        """`handle`: the door of who wants to know."""
        self._handle = handle
        self._took = 0.0
        self._due = now + MEASURE_EVERY

    def add(self, seconds: float) -> None:
        """That long media was served."""
        self._took += seconds

    def tell(self, now: Instant) -> None:
        """What has come together, if it is time; it begins anew then."""
        if now >= self._due:
            took, self._took = self._took, 0.0
            self._due = now + MEASURE_EVERY
            self._handle(MediaTook(took), now)


def sets_up(event: PlaneEvent) -> bool:
    """Most likely it is of a call that is being set up."""
    if type(event) is not RecordReceived:
        return False
    return event.type is not DATA or not event.payload or event.payload[0] < APPLICATION_DATA
