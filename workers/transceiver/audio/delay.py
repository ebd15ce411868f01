"""How late packets come, and so how long to wait for them.

A packet's *transit* is its arrival less its timestamp: of no meaning by itself, for the two clocks have
nothing in common, but the smallest transit of the last seconds is that of a packet that nothing held up.
How much longer than that the others took is their lateness. Playing `target` behind the quickest packet
means that the share LATE of packets, not more, comes too late.

Two views, the worse one counts. The window remembers ten seconds, so the delay grows with the first few
late packets and shrinks when they are forgotten. The interarrival jitter of RFC 3550 needs some sixteen
packets to believe anything, and answers for the first second, when the window is almost empty.

The sender's clock may be faster or slower than ours: its quickest packets then wander, by a
millisecond within the window at 100 ppm, and take the whole reckoning with them.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from config.ids import Instant

WINDOW: Final = 10.0
"""Seconds that a packet's lateness counts."""
MAX_SAMPLES: Final = 1000
STEP: Final = 0.002
"""Seconds; transits are kept in buckets this wide."""
LATE: Final = 0.03
"""The share of packets that may come too late."""
JITTERS: Final = 3.0
"""Where lateness falls off exponentially, 3.5 times its mean is its 97th percentile."""
MAX_DEVIATION: Final = 0.2
"""Seconds. A pause of a minute in the network must not own the average."""
FIRST_TARGET: Final = 0.02
"""Seconds; until something is known."""
FEW: Final = 25
MAX_TARGET: Final = 0.8
"""Seconds; well below what a packet may have waited, or none would ever be played."""
JUMP: Final = 1.0
"""Seconds of transit beyond what the network could be blamed for: the sender has set its clock."""


class DelayEstimate:
    """One stream's lateness. Times are seconds, timestamps unwrapped."""

    __slots__ = (
        "_clock_rate", "_counts", "_last", "_lowest", "_samples", "jitter", "jumps", "target",
    )  # fmt: skip

    def __init__(self, clock_rate: int) -> None:
        self._clock_rate = clock_rate
        self._samples: deque[tuple[Instant, int]] = deque()
        self._counts: dict[int, int] = {}
        self._lowest = 0
        self._last: float | None = None
        """Transit of the packet before."""
        self.jitter = 0.0
        """RFC 3550, 6.4.1."""
        self.target = FIRST_TARGET
        """How long after the quickest packet of its age one should be played."""
        self.jumps = 0
        """How often the sender set its clock."""

    def arrive(self, timestamp: int, now: Instant) -> bool:
        """Count one packet; False if its sender has set its clock, and all before is forgotten."""
        transit = now - timestamp / self._clock_rate
        follows = True
        if self._last is not None:
            step = transit - self._last
            if abs(step) > JUMP:
                self.jumps += 1
                follows = False
                self.forget()
            else:
                self.jitter += (min(abs(step), MAX_DEVIATION) - self.jitter) / 16
        self._last = transit
        self._count(int(transit // STEP), now)
        self.target = min(max(self._percentile(), JITTERS * self.jitter), MAX_TARGET)
        if len(self._samples) < FEW:
            self.target = max(self.target, FIRST_TARGET)
        return follows

    def lateness(self, timestamp: int, at: Instant) -> float:
        """How long after the quickest packet of its age this instant is."""
        return at - timestamp / self._clock_rate - self._lowest * STEP

    def forget(self) -> None:
        """Another sender, or another clock. The jitter is the network's and stays."""
        self._samples.clear()
        self._counts.clear()
        self._last = None

    def _count(self, bucket: int, now: Instant) -> None:
        samples, counts = self._samples, self._counts
        oldest = now - WINDOW
        gone = False
        while samples and (samples[0][0] < oldest or len(samples) >= MAX_SAMPLES):
            old = samples.popleft()[1]
            if counts[old] == 1:
                del counts[old]
                gone |= old == self._lowest
            else:
                counts[old] -= 1
        samples.append((now, bucket))
        counts[bucket] = counts.get(bucket, 0) + 1
        if gone or len(samples) == 1:
            self._lowest = min(counts)
        elif bucket < self._lowest:
            self._lowest = bucket

    def _percentile(self) -> float:
        """Lateness that all but LATE of the window's packets do not exceed."""
        allowed = int(len(self._samples) * LATE)
        for bucket in sorted(self._counts, reverse=True):
            allowed -= self._counts[bucket]
            if allowed < 0:
                return (bucket - self._lowest + 1) * STEP
        return STEP  # pragma: no cover - there is always the packet that was just counted
