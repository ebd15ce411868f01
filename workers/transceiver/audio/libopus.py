"""libopus, the machine's own, by cffi: no build, and no need of it unless somebody wants PCM.

cffi lets go of the interpreter's lock around each call. Nobody here depends on that: a transceiver is one
process per core with one thread of Python.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final, NamedTuple

from cffi import FFI

from workers.transceiver.audio.interface import LibraryMissing

SONAME: Final = "libopus.so.0"
MISSING: Final = f"{SONAME} is missing, which PCM audio of Opus calls needs; install libopus0"

VOIP: Final = 2048
SET_BITRATE: Final = 4002
SET_COMPLEXITY: Final = 4010
SET_INBAND_FEC: Final = 4012
SET_PACKET_LOSS: Final = 4014
SET_DTX: Final = 4016

_DECLARATIONS: Final = """
    typedef struct OpusEncoder OpusEncoder;
    typedef struct OpusDecoder OpusDecoder;
    OpusEncoder *opus_encoder_create(int32_t rate, int channels, int application, int *error);
    void opus_encoder_destroy(OpusEncoder *);
    int opus_encoder_ctl(OpusEncoder *, int request, ...);
    int opus_encode(OpusEncoder *, const int16_t *pcm, int samples, unsigned char *out, int32_t room);
    OpusDecoder *opus_decoder_create(int32_t rate, int channels, int *error);
    void opus_decoder_destroy(OpusDecoder *);
    int opus_decode(
        OpusDecoder *, const unsigned char *payload, int32_t length, int16_t *pcm, int room, int fec);
    const char *opus_get_version_string(void);
"""


class LibOpus(NamedTuple):
    """The opened library."""

    ffi: Any
    lib: Any

    @property
    def version(self) -> str:
        """As it calls itself."""
        return str(self.ffi.string(self.lib.opus_get_version_string()).decode())


@cache
def load() -> LibOpus:
    """Open it, once a process. Raises LibraryMissing."""
    ffi = FFI()
    ffi.cdef(_DECLARATIONS)
    try:
        return LibOpus(ffi, ffi.dlopen(SONAME))
    except OSError:
        raise LibraryMissing(MISSING) from None
