"""What leaves: messages become chunks, as fast as the network and the peer's window allow.

Outbox --fragments--> Flight --acknowledged, lost, given up--> gone, or sent again
             Congestion, Rto
"""

from __future__ import annotations

from typing import Final

from config.ids import Instant
from workers.transceiver.core.sctp.congestion import Congestion
from workers.transceiver.core.sctp.flight import Flight, Report
from workers.transceiver.core.sctp.outbox import Outbox
from workers.transceiver.core.sctp.rto import Rto
from workers.transceiver.core.sctp.serial import unwrap_tsn
from workers.transceiver.core.sctp.tally import Tally
from workers.wire.sctp import DATA_HEADER_LENGTH, HEADER_LENGTH, encode_chunk


class Sender:
    """One path, one peer."""

    def __init__(self, initial_tsn: int, max_packet: int, tally: Tally) -> None:
        self.rto: Final = Rto()
        self.outbox: Final = Outbox()
        self.flight: Final = Flight(initial_tsn)
        self.peer_window = 0
        self.resend_at: Instant | None = None
        """When everything on its way counts as lost (T3-rtx)."""
        self._congestion: Final = Congestion(max_packet)
        self._full: Final = max_packet - HEADER_LENGTH - DATA_HEADER_LENGTH
        self._fast = False
        """A loss was just found: one packet may leave whatever the window says (7.2.4)."""
        self._sent_at: Instant | None = None
        self._tally: Final = tally

    @property
    def buffered(self) -> int:
        """Bytes of messages that the peer has not acknowledged, charges included."""
        return self.outbox.queued + self.flight.held

    @property
    def drained(self) -> bool:
        """All that was sent has been acknowledged."""
        return not self.outbox.queued and not len(self.flight)

    def settled(self, stream: int) -> bool:
        """All that was sent on this stream has been acknowledged."""
        return not self.outbox.has(stream) and self.flight.arrived(stream)

    def acknowledge(
        self, tsn: int, gaps: tuple[tuple[int, int], ...], window: int | None, now: Instant
    ) -> Report | None:
        """Take a SACK, or what a SHUTDOWN acknowledges (no window); None if it says nothing."""
        flight = self.flight
        cumulative = unwrap_tsn(tsn, flight.cumulative)
        report = flight.acknowledge(cumulative, gaps, now)
        if report is None:
            return None
        if window is not None:
            self.peer_window = window
        if report.round_trip is not None:
            self.rto.measure(report.round_trip)
        if report.cumulative:
            self._congestion.acknowledged(report.cumulative, report.flight, cumulative)
        if report.loss:
            self._congestion.lost(flight.next - 1)
            self._fast = True
        if not len(flight):
            self.resend_at = None
        elif report.cumulative or report.loss:
            self.resend_at = now + self.rto.value
        return report

    def expire(self, now: Instant, *, again: bool) -> None:
        """`resend_at` has come. `again`: twice in a row, so the peer may have reneged (6.2.1)."""
        self._congestion.expired()
        self.flight.expire(now, reneged=again)
        self.rto.back_off()
        self.resend_at = now + self.rto.value

    def ready(self, now: Instant) -> bool:
        """Something may leave now."""
        if self.flight.lost() is not None:
            return self.flight.flying < self._congestion.window
        return self._open() and self.outbox.head(now) is not None

    def fill(self, chunks: list[bytes], room: int, now: Instant) -> None:
        """Add to a packet: lost chunks first, then new ones, as far as room and windows allow."""
        flight, count = self.flight, len(chunks)
        forward = flight.forward()
        if forward is not None:
            encoded = encode_chunk(forward)
            chunks.append(encoded)
            room -= len(encoded)
        while (size := flight.lost()) is not None and size <= room:
            if flight.flying >= self._congestion.window and not self._fast:
                break
            chunks.append(flight.resend(now))
            self._tally.resent += 1
            room -= size
        if flight.lost() is None:
            self._fill_new(chunks, room, now)
        if len(chunks) > count:
            self._fast = False
            if self.resend_at is None:
                self.resend_at = now + self.rto.value

    def _fill_new(self, chunks: list[bytes], room: int, now: Instant) -> None:
        flight, outbox = self.flight, self.outbox
        while self._open() and (space := room - DATA_HEADER_LENGTH) > 0:
            message = outbox.head(now)
            if message is None:
                break
            rest = len(message.payload) - message.offset
            if rest > space and space < self._full * 3 // 4:
                break  # better whole in the next packet than in two
            size = DATA_HEADER_LENGTH + min(rest, space)
            if len(flight) and flight.flying + size > self.peer_window:
                break
            idle_since = None if len(flight) else self._sent_at
            if idle_since is not None and now - idle_since > self.rto.value:
                self._congestion.idle()
            begin = message.offset == 0
            payload = outbox.take(message, space)
            chunk = flight.send(message, payload, begin=begin, now=now)
            chunks.append(chunk)
            room -= len(chunk)
            self._sent_at = now

    def _open(self) -> bool:
        """The windows are; with nothing on its way, one chunk probes a closed one."""
        flight = self.flight
        if not len(flight):
            return True
        return flight.flying < min(self._congestion.window, self.peer_window) and not flight.full
