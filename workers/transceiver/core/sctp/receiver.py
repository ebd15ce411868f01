"""What comes: TSNs are noted, fragments put together, acknowledgements made."""

from __future__ import annotations

from typing import Final

from workers.transceiver.core.sctp.arrivals import Arrivals
from workers.transceiver.core.sctp.interface import IN_FLIGHT, CloseCause
from workers.transceiver.core.sctp.reassembly import (
    MAX_STREAMS,
    Message,
    ProtocolError,
    Reassembly,
)
from workers.transceiver.core.sctp.serial import unwrap_tsn
from workers.wire.sctp_chunks import Data, ForwardTsn, Sack
from workers.wire.types import DropReason


class Receiver:
    """One peer's chunks of data."""

    def __init__(self, initial_tsn: int, window: int, max_message: int) -> None:
        self.arrivals: Final = Arrivals(initial_tsn)
        self._reassembly: Final = Reassembly(window, max_message)
        self._most: Final = min(window, IN_FLIGHT)
        self._advertised = self._most

    @property
    def kept(self) -> int:
        """Bytes that wait for others before them, charges included."""
        return self._reassembly.buffered

    def data(self, data: Data, *, full: bool = False) -> list[Message] | DropReason:
        """Take one chunk; messages whose turn has come. Raises ProtocolError.

        `full`: there is no room for what answers it may have, so it must come again.
        """
        if not data.payload:
            raise ProtocolError(CloseCause.PROTOCOL_VIOLATION)
        arrivals, reassembly = self.arrivals, self._reassembly
        tsn = unwrap_tsn(data.tsn, arrivals.cumulative)
        if arrivals.has(tsn):
            arrivals.repeated(tsn)
            return []
        next_one = tsn == arrivals.cumulative + 1
        admitted = arrivals.admits(tsn) and reassembly.admits(len(data.payload), next_one=next_one)
        if full or not admitted:
            return DropReason.QUEUE_FULL
        arrivals.add(tsn)
        if data.stream >= MAX_STREAMS:
            return DropReason.UNKNOWN_CHANNEL
        return reassembly.add(tsn, data)

    def forward(self, chunk: ForwardTsn) -> list[Message]:
        """The peer gave something up; messages that waited for it."""
        cumulative = unwrap_tsn(chunk.cumulative, self.arrivals.cumulative)
        if cumulative <= self.arrivals.cumulative:
            return []
        self.arrivals.skip(cumulative)
        return self._reassembly.skip(cumulative, chunk.streams)

    def reset(self, streams: tuple[int, ...]) -> None:
        """The peer counts these streams from 0 again; all if none is named."""
        self._reassembly.reset(streams)

    def reopened(self, backlog: int) -> bool:
        """The window was nearly closed and no longer is: the peer may be waiting to hear it."""
        small = self._advertised < self._most // 4
        return small and self._room(backlog) >= self._most // 2

    def sack(self, backlog: int) -> Sack:
        """The acknowledgement. `backlog`: the window is no larger than this, whatever is kept."""
        self._advertised = self._room(backlog)
        return self.arrivals.sack(self._advertised)

    def _room(self, backlog: int) -> int:
        return max(0, min(self._reassembly.room(), backlog, self._most))
