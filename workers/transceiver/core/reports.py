"""Reports of a session, both ways: when ours are due, what they say, what the peer's said.

RFC 3550, 6, for a session of two members, so that its bandwidth rule always gives the least interval,
five seconds, and there is nobody to reconsider the timer for. Each report is drawn from half to one and
a half of that; the first one comes early, for the sake of the first round trip.

    ours        sender report (we sent since the last one) or receiver report
                + one block about the peer's stream, if any of it came since the last one
                + our canonical name;  at the end a goodbye
    the peer's  its sender report      -> echoed in our next block (LSR, DLSR)
                its block about us     -> `Reported`, and the round trip, if we sent what it echoes
                its goodbye            -> `gone`

A round trip is believed only of a sender report that we remember: the peer cannot make one up beyond
the age of the last few. A peer that picks our SSRC for itself (RFC 3550, 8.2) harms nothing here, for
the two directions never meet in one table.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Final, NamedTuple

from config.ids import Instant
from workers.transceiver.core.streams.interface import AudioParameters, StreamStats
from workers.wire.rtcp import (
    Feedback,
    Goodbye,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    Unread,
    encode_rtcp,
    parse_rtcp,
)

INTERVAL: Final = 5.0
FIRST: Final = 1.0
"""Seconds, both before they are spread."""
GRID: Final = 0.25
"""Seconds: reports of all sessions are due at multiples of it, so that hundreds share a wake-up."""
REMEMBERED: Final = 8
"""Sender reports of ours that the peer may still answer."""
NAME_BYTES: Final = 12
"""RFC 7022, 4.2: 96 random bits make a name that is unique and tells nothing."""
DEFAULT_RATE: Final = 48_000

_SINCE_1900: Final = 2_208_988_800
"""Seconds from NTP's beginning to 1970."""
_WORD: Final = 0xFFFFFFFF
_SHORT: Final = 1 << 16
"""Units of a second in LSR and DLSR."""


class Reported(NamedTuple):
    """What the peer said last about the stream that we send."""

    fraction_lost: float
    """Of the packets since the report before, 0 to 1."""
    lost: int
    jitter: float
    """Seconds."""
    at: Instant


class Reports:
    """Of one session with audio. Nothing is due before `begin`."""

    __slots__ = (
        "_description", "_earlier_lost", "_entropy", "_expected", "_heard", "_lost", "_out_rate",
        "_packets_in", "_packets_out", "_rates", "_sent", "_source", "_spoke", "_ssrc", "_wall",
        "due", "gone", "reported", "round_trip",
    )  # fmt: skip

    def __init__(
        self,
        ssrc: int,
        audio: AudioParameters | None,
        entropy: Callable[[int], bytes],
        wall: float,
    ) -> None:
        """`wall` plus an instant gives seconds since 1970."""
        self.due: Instant | None = None
        self.reported: Reported | None = None
        self.round_trip: float | None = None
        """Seconds, by the peer's last answer to a sender report of ours."""
        self.gone: int | None = None
        """The source that said goodbye last."""
        self._ssrc = ssrc
        codecs = audio.codecs if audio is not None else ()
        self._rates = {codec.payload_type: codec.clock_rate for codec in codecs}
        self._out_rate = DEFAULT_RATE
        self._entropy = entropy
        self._wall = wall
        self._description = SourceDescription(((ssrc, entropy(NAME_BYTES).hex().encode()),))
        self._spoke = False
        self._sent: dict[int, Instant] = {}
        """By the middle of their NTP time, oldest first."""
        self._heard: tuple[int, int, Instant] | None = None
        """The peer's last sender report: source, middle of its NTP time, arrival."""
        # As of our last report:
        self._packets_out = 0
        self._packets_in = 0
        self._source = 0
        self._expected = 0
        self._lost = 0
        self._earlier_lost = 0
        """Of sources before this one."""

    def begin(self, now: Instant) -> None:
        """There are keys: the first report is due soon."""
        self.due = _on_grid(now + FIRST * self._spread())

    def is_due(self, now: Instant) -> bool:
        """True if it is time for a report."""
        return self.due is not None and now >= self.due

    def report(self, stats: StreamStats, now: Instant) -> bytes:
        """A report of what was counted; the next one is due an interval later."""
        self.due = _on_grid(now + INTERVAL * self._spread())
        return encode_rtcp(self._regular(stats, now))

    def goodbye(self) -> bytes:
        """The last word; empty if it would also be the first one (RFC 3550, 6.3.7)."""
        self.due = None
        if not self._spoke:
            return b""
        return encode_rtcp([ReceiverReport(self._ssrc), self._description, Goodbye((self._ssrc,))])

    def receive(self, compound: bytes, now: Instant) -> float | None:
        """Take note of what the peer says: `fraction_lost`, if it is of our stream. Raises Malformed."""
        before = self.reported
        for packet in parse_rtcp(compound):
            match packet:
                case SenderReport():
                    self._heard = (packet.source, packet.ntp >> 16 & _WORD, now)
                    self._read(packet.blocks, now)
                case ReceiverReport():
                    self._read(packet.blocks, now)
                case Goodbye():
                    if packet.sources:
                        self.gone = packet.sources[-1]
                case SourceDescription() | Feedback() | Unread():
                    pass  # one peer needs no name, and no feedback is agreed on
        told = self.reported
        return None if told is None or told is before else told.fraction_lost

    # --- ours -------------------------------------------------------------------------------------

    def _regular(self, stats: StreamStats, now: Instant) -> list[RtcpPacket]:
        blocks = self._blocks(stats, now)
        self._spoke = True
        if stats.packets_out == self._packets_out:
            return [ReceiverReport(self._ssrc, blocks), self._description]
        self._packets_out = stats.packets_out
        self._out_rate = self._rate(stats.payload_type_out)
        ntp = int((now + self._wall + _SINCE_1900) * (1 << 32)) & (1 << 64) - 1
        self._sent[ntp >> 16 & _WORD] = now
        if len(self._sent) > REMEMBERED:
            del self._sent[next(iter(self._sent))]
        since = round((now - stats.sent_at) * self._out_rate)
        return [
            SenderReport(
                self._ssrc,
                ntp,
                stats.timestamp_out + since & _WORD,
                stats.packets_out & _WORD,
                stats.octets_out & _WORD,
                blocks,
            ),
            self._description,
        ]

    def _blocks(self, stats: StreamStats, now: Instant) -> tuple[ReportBlock, ...]:
        if stats.packets_in == self._packets_in:
            return ()
        self._packets_in = stats.packets_in
        if stats.source != self._source:
            # What came of it before we noticed counts; what the one before it lost does not.
            self._source, self._earlier_lost = stats.source, self._lost
        # RFC 3550, A.3; late packets and repetitions can make up for more than was lost.
        expected, lost = stats.expected - self._expected, stats.lost - self._lost
        self._expected, self._lost = stats.expected, stats.lost
        fraction = min(lost * 256 // expected, 255) if expected > 0 and lost > 0 else 0
        last, delay = 0, 0
        if self._heard is not None and self._heard[0] == stats.source:
            _, last, at = self._heard
            delay = min(max(0, round((now - at) * _SHORT)), _WORD)
        return (
            ReportBlock(
                stats.source,
                fraction,
                stats.lost - self._earlier_lost,
                stats.highest & _WORD,
                round(stats.jitter * self._rate(stats.payload_type)) & _WORD,
                last,
                delay,
            ),
        )

    def _spread(self) -> float:
        return 0.5 + int.from_bytes(self._entropy(2), "big") / 0xFFFF

    def _rate(self, payload_type: int) -> int:
        return self._rates.get(payload_type, DEFAULT_RATE)

    # --- the peer's -------------------------------------------------------------------------------

    def _read(self, blocks: tuple[ReportBlock, ...], now: Instant) -> None:
        for block in blocks:
            if block.source == self._ssrc:
                self.reported = Reported(
                    block.fraction_lost / 256, block.lost, block.jitter / self._out_rate, now
                )
                sent = self._sent.get(block.last_report)
                if sent is not None:
                    # Clocks that do not agree to the millisecond may make a short trip negative.
                    self.round_trip = max(0.0, now - sent - block.delay / _SHORT)


def _on_grid(due: Instant) -> Instant:
    return ceil(due / GRID) * GRID
