"""libopus, the machine's own: what we call of it, and the numbers of its settings."""

from __future__ import annotations

from functools import cache
from typing import Final

from workers.transceiver.audio.library import Library, open_library

SONAME: Final = "libopus.so.0"

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
"""


@cache
def load() -> Library:
    """Open it, once a process. Raises LibraryMissing."""
    return open_library(SONAME, "libopus0", "PCM audio of Opus calls", _DECLARATIONS)
