"""What arrived of the peer's stream, what did not, and how evenly (RFC 3550, A.1, A.3 and A.8)."""

from __future__ import annotations

from typing import Final

from config.ids import Instant

MAX_GAP: Final = 3000
"""Sequence numbers a stream may jump ahead before we take it for a new one."""
MAX_MISORDER: Final = 100
_SEQUENCES: Final = 1 << 16
_TIMESTAMPS: Final = 1 << 32
_HALF: Final = 1 << 31


class Reception:
    """Counts of one peer's audio, through changes of SSRC and jumps of its sequence."""

    __slots__ = (
        "_arrived_at", "_base", "_earlier_expected", "_earlier_received", "_highest", "_jitter",
        "_received", "_ssrc", "_suspect", "_timestamp", "packets",
    )  # fmt: skip

    def __init__(self) -> None:
        self.packets = 0
        """All packets that arrived."""
        self._ssrc = -1
        self._base = 0
        self._highest = -1
        """Extended: cycles of 65536 included."""
        self._received = 0
        self._suspect = -1
        self._earlier_expected = 0
        self._earlier_received = 0
        self._jitter = 0.0
        self._arrived_at: Instant = 0.0
        self._timestamp = 0

    @property
    def source(self) -> int:
        """The SSRC that counts now; 0 before any packet."""
        return max(self._ssrc, 0)

    @property
    def highest(self) -> int:
        """Extended highest sequence number of that source."""
        return max(self._highest, 0)

    @property
    def expected(self) -> int:
        """Packets that the peer has sent, going by its sequence numbers."""
        return self._earlier_expected + self._highest - self._base + 1

    @property
    def lost(self) -> int:
        """Packets that never came; late ones are taken back, so it may go down."""
        return max(0, self.expected - self._earlier_received - self._received)

    @property
    def jitter(self) -> float:
        """Interarrival jitter in seconds."""
        return self._jitter

    def count(
        self, ssrc: int, sequence: int, timestamp: int, clock_rate: int, now: Instant
    ) -> None:
        """Take note of one packet. The replay window has already refused repetitions."""
        self.packets += 1
        if ssrc != self._ssrc:
            self._begin(ssrc, sequence, timestamp, now)
            return
        step = (sequence - self._highest) & 0xFFFF
        if step < MAX_GAP:
            self._highest += step
            self._suspect = -1
        elif step <= _SEQUENCES - MAX_MISORDER:
            # A jump: believed when the next packet follows it.
            if sequence != self._suspect:
                self._suspect = (sequence + 1) & 0xFFFF
                return
            self._begin(ssrc, sequence, timestamp, now)
            return
        elif self._highest + step - _SEQUENCES < self._base:
            self._base = self._highest + step - _SEQUENCES
        self._received += 1
        elapsed = (timestamp - self._timestamp + _HALF) % _TIMESTAMPS - _HALF
        deviation = abs(now - self._arrived_at - elapsed / clock_rate)
        # An hour of silence or a peer that resets its clock must not own the average.
        self._jitter += (min(deviation, 1.0) - self._jitter) / 16
        self._arrived_at, self._timestamp = now, timestamp

    def _begin(self, ssrc: int, sequence: int, timestamp: int, now: Instant) -> None:
        self._earlier_expected = self.expected
        self._earlier_received += self._received
        self._ssrc, self._base, self._highest, self._received = ssrc, sequence, sequence, 1
        self._suspect = -1
        self._arrived_at, self._timestamp = now, timestamp
