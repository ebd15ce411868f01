"""PCM at one rate to PCM at another, by the machine's libspeexdsp: telephones are at 8 kHz.

Only G.711 needs it; Opus does every rate by itself.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from workers.transceiver.audio.library import Library, open_library

SONAME: Final = "libspeexdsp.so.1"
QUALITY: Final = 3
"""0-10: its own grade for speech; 3 ms of delay, some 10 us for 20 ms."""
MAX_SAMPLES: Final = 48_000 * 120 // 1000
"""Of one call, in and out."""

_DECLARATIONS: Final = """
    typedef struct SpeexResamplerState SpeexResamplerState;
    SpeexResamplerState *speex_resampler_init(
        uint32_t channels, uint32_t from, uint32_t to, int quality, int *error);
    void speex_resampler_destroy(SpeexResamplerState *);
    int speex_resampler_process_int(
        SpeexResamplerState *, uint32_t channel,
        const int16_t *in, uint32_t *in_samples, int16_t *out, uint32_t *out_samples);
"""


@cache
def load() -> Library:
    """Open it, once a process. Raises LibraryMissing."""
    return open_library(SONAME, "libspeexdsp1", "PCM audio of G.711 calls", _DECLARATIONS)


class Resampler:
    """One stream's, from one rate to another. Raises LibraryMissing when it is made."""

    def __init__(self, rate_in: int, rate_out: int) -> None:
        self._ffi, self._lib = load()
        error = self._ffi.new("int *")
        state = self._lib.speex_resampler_init(1, rate_in, rate_out, QUALITY, error)
        if error[0]:
            raise MemoryError("no resampler of libspeexdsp")
        self._state = self._ffi.gc(state, self._lib.speex_resampler_destroy)
        self._out = self._ffi.new("int16_t[]", MAX_SAMPLES)
        self._bytes = self._ffi.buffer(self._out)
        self._taken = self._ffi.new("uint32_t *")
        self._given = self._ffi.new("uint32_t *")
        self._most = MAX_SAMPLES * min(rate_in, rate_out) // rate_out

    def resample(self, pcm: bytes) -> bytes:
        """The same sound, 3 ms later. At most 120 ms at a time; more is a ValueError."""
        samples = len(pcm) // 2
        if samples > self._most:
            raise ValueError(f"{samples} samples at once")
        self._taken[0], self._given[0] = samples, MAX_SAMPLES
        self._lib.speex_resampler_process_int(
            self._state, 0, self._ffi.from_buffer("int16_t[]", pcm),
            self._taken, self._out, self._given,
        )  # fmt: skip
        return bytes(self._bytes[: 2 * self._given[0]])
