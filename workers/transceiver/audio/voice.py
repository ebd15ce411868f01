"""When somebody begins and ceases to speak: voice activity in PCM, by WebRTC's own detector.

The detector says of each 20 ms whether they are voice. Speech begins when most of a short window is, and
has then begun `prefix` earlier, so that no consonant is missing; it ends after `silence` without any. These
are the knobs of `server_vad` in Realtime APIs.

The only file that knows webrtcvad.
"""

from __future__ import annotations

from array import array
from typing import Final

import webrtcvad

from ipc.backend.vad import Vad
from workers.transceiver.audio.jitter import STEP

WINDOW: Final = 4
"""Frames that are looked at for a beginning,"""
VOICED: Final = 3
"""and how many of them must be voice."""
_USUAL: Final = Vad(0.5, 300, 500)
_STEP_MS: Final = round(STEP * 1000)
_DETECTABLE: Final = (8_000, 16_000, 32_000, 48_000)


class Voice:
    """One session's."""

    def __init__(self, rate: int, vad: Vad | None = None) -> None:
        """What `vad` does not say is as usual."""
        vad = _USUAL if vad is None else vad.over(_USUAL)
        assert vad.threshold is not None
        assert vad.prefix is not None
        assert vad.silence is not None
        self._detector = webrtcvad.Vad(min(3, int(vad.threshold * 4)))
        self._thin = 1 if rate in _DETECTABLE else 3
        """Of 24 kHz every third sample, smoothed, is 8 kHz."""
        self._rate = rate // self._thin
        self._prefix = vad.prefix
        self._silence = max(1, round(vad.silence / _STEP_MS))
        """Frames."""
        self._recent = 0
        """Bit n: the frame n before the last was voice."""
        self._quiet = 0
        self._speaks = False
        self._ceased_at = 0

    def handle(self, pcm: bytes, at: int) -> list[tuple[bool, int]]:
        """One STEP of sound that began `at` ms: (begins or ceases, when) if that changed."""
        voiced = self._detector.is_speech(self._thinned(pcm), self._rate)
        self._recent = (self._recent << 1 | voiced) & ((1 << WINDOW) - 1)
        self._quiet = 0 if voiced else self._quiet + 1
        if not self._speaks and self._recent.bit_count() >= VOICED:
            self._speaks = True
            begun = at - (self._recent.bit_length() - 1) * _STEP_MS - self._prefix
            return [(True, max(begun, self._ceased_at))]
        if self._speaks and self._quiet >= self._silence:
            self._speaks = False
            self._recent = 0
            self._ceased_at = at + _STEP_MS
            return [(False, self._ceased_at)]
        return []

    def _thinned(self, pcm: bytes) -> bytes:
        if self._thin == 1:
            return pcm
        samples = array("h", pcm)
        thirds = zip(samples[::3], samples[1::3], samples[2::3], strict=False)
        return array("h", [(a + b + c) // 3 for a, b, c in thirds]).tobytes()
