"""Speech repeats itself every few milliseconds; whoever knows the period can cut and mend it unheard.

To squeeze, two periods are faded into one; to stretch, one is played twice; to conceal, the last one is
repeated, fading. The period is the shift under which the sound is most like itself, sought coarsely at
4 kHz and then finely. This is plain Python: it runs when the delay changes or a G.711 packet is lost, not
for every frame.
"""

from __future__ import annotations

from array import array
from math import sqrt
from operator import mul
from typing import Final

SHORTEST: Final = 0.0025
LONGEST: Final = 0.015
"""Seconds: periods of voices from 400 down to 66 Hz."""
ALIKE: Final = 0.6
"""Correlation from which on two periods may be faded into each other unheard."""
QUIET: Final = 120
"""Mean amplitude below which nobody hears a cut at all."""
PATIENCE: Final = 5
"""Frames without a good place after which any will do."""
FADE: Final = 0.06
"""Seconds after which a guess is worth less than silence."""
JOIN: Final = 0.004
"""Seconds over which a guess is faded into what really follows."""

_COARSE: Final = 4_000


def find_period(sound: array[int], rate: int, longest: int) -> tuple[int, float]:
    """(samples, likeness -1 to 1) of the period at the beginning of a sound.

    `longest` samples at most; the sound must have twice as many. No period (0, 0.0) if that is shorter
    than any voice's.
    """
    factor = max(rate // _COARSE, 1)
    fine = sound[: 2 * longest].tolist()
    coarse = [sum(group) for group in zip(*[iter(fine)] * factor, strict=False)]
    first, last = int(SHORTEST * rate / factor), longest // factor
    if last < first or len(coarse) < 2 * last:
        return 0, 0.0
    width = last
    start, squares = coarse[:width], [sample * sample for sample in coarse]
    own, power = sum(squares[:width]), sum(squares[first : first + width])
    best, likeness = 0, -2.0
    for lag in range(first, last + 1):
        scale = own * power
        found = sum(map(mul, start, coarse[lag : lag + width])) / sqrt(scale) if scale else 1.0
        if found > likeness:
            best, likeness = lag, found
        power += sum(squares[lag + width : lag + width + 1]) - squares[lag]
    middle = best * factor
    begin = fine[:middle]
    around = range(max(middle - factor + 1, 1), min(middle + factor, longest + 1))
    period = max(around, key=lambda lag: sum(map(mul, begin, fine[lag : lag + middle])))
    return period, likeness


def fade(before: array[int], after: array[int]) -> array[int]:
    """From one sound to another of the same length."""
    length = len(before)
    return array(
        "h",
        [
            (old * (length - n) + new * n) // length
            for n, (old, new) in enumerate(zip(before, after, strict=True))
        ],
    )


class Elastic:
    """Makes frames a period shorter or longer, where it is not heard."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._longest = int(LONGEST * rate)
        self._waited = 0

    def adjust(self, pcm: bytes, longer: bool) -> bytes:
        """The frame less or plus a period; unchanged if another frame will do better."""
        sound = array("h", pcm)
        period, likeness = find_period(sound, self._rate, min(self._longest, len(sound) // 2))
        if not period:
            return pcm
        quiet = sum(map(abs, sound)) < QUIET * len(sound)
        if likeness < ALIKE and not quiet and self._waited < PATIENCE:
            self._waited += 1
            return pcm
        self._waited = 0
        first, second = sound[:period], sound[period : 2 * period]
        if longer:
            return (first + fade(second, first) + sound[period:]).tobytes()
        return (fade(first, second) + sound[2 * period :]).tobytes()


class Concealer:
    """Fills gaps of a codec that cannot do it by itself (in the manner of ITU-T G.711, appendix I)."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._longest = int(LONGEST * rate)
        self._keep = 2 * self._longest
        self._past = array("h", bytes(2 * self._keep))
        self._period: array[int] = array("h")
        """What is repeated; empty while nothing is missing."""
        self._at = 0
        self._guessed = 0

    def heard(self, pcm: bytes) -> bytes:
        """Take what really came; after a gap its beginning is joined to the guess."""
        sound = array("h", pcm)
        if self._period:
            length = min(int(JOIN * self._rate), len(sound))
            sound[:length] = fade(self._guess(length), sound[:length])
            self._period = array("h")
            pcm = sound.tobytes()
        self._past = (self._past + sound)[-self._keep :]
        return pcm

    def conceal(self, samples: int) -> bytes:
        """So much of a guess."""
        if not self._period:
            backwards = self._past[::-1]
            period, _ = find_period(backwards, self._rate, self._longest)
            self._period = self._past[-period:]
            self._at = self._guessed = 0
        return self._guess(samples).tobytes()

    def _guess(self, samples: int) -> array[int]:
        period, span = self._period, FADE * self._rate
        out = array("h")
        while len(out) < samples:
            piece = period[self._at : self._at + samples - len(out)]
            out += piece
            self._at = (self._at + len(piece)) % len(period)
        begun, self._guessed = self._guessed, self._guessed + samples
        return array("h", [int(s * max(0.0, 1 - (begun + n) / span)) for n, s in enumerate(out)])
