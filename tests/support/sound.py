"""Sound to feed codecs with, and a measure of what came of it."""

from __future__ import annotations

import math
from array import array
from itertools import pairwise


def tone(rate: int, seconds: float, frequency: float = 440.0, amplitude: int = 10_000) -> bytes:
    """A sine, 16 bits, mono."""
    step = 2 * math.pi * frequency / rate
    samples = (int(amplitude * math.sin(step * n)) for n in range(round(rate * seconds)))
    return array("h", samples).tobytes()


def frames(pcm: bytes, rate: int, seconds: float = 0.02) -> list[bytes]:
    """Cut into whole frames."""
    size = 2 * round(rate * seconds)
    return [pcm[at : at + size] for at in range(0, len(pcm) - size + 1, size)]


def strength(pcm: bytes, rate: int, frequency: float = 440.0) -> float:
    """How much of the sound's power is that tone, 0 to 1, by Goertzel's algorithm."""
    samples = array("h", pcm)
    coefficient = 2 * math.cos(2 * math.pi * frequency / rate)
    before = last = 0.0
    for sample in samples:
        before, last = last, sample + coefficient * last - before
    power = sum(sample * sample for sample in samples)
    found = last * last + before * before - coefficient * last * before
    return 2 * found / (len(samples) * power) if power else 0.0


def loudness(pcm: bytes) -> float:
    """Root mean square."""
    samples = array("h", pcm)
    return math.sqrt(sum(sample * sample for sample in samples) / len(samples)) if samples else 0.0


def roughness(pcm: bytes) -> int:
    """The greatest step between two samples: a click is a large one."""
    samples = array("h", pcm)
    return max(abs(b - a) for a, b in pairwise(samples))
