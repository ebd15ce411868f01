"""Opus to PCM and back, by libopus (RFC 6716, RFC 7587).

Whatever rate a peer codes at, libopus decodes to any of 8, 12, 16, 24 and 48 kHz, and to mono; so there is
nothing to resample. Both directions keep state: one decoder and one encoder a stream.
"""

from __future__ import annotations

from typing import Final

from workers.transceiver.audio.libopus import (
    SET_BITRATE,
    SET_COMPLEXITY,
    SET_DTX,
    SET_INBAND_FEC,
    SET_PACKET_LOSS,
    VOIP,
    load,
)
from workers.wire.opus import CLOCK, MAX_DURATION, SILENT, parse_opus_duration

RATES: Final = (8_000, 12_000, 16_000, 24_000, 48_000)
COMPLEXITY: Final = 5
"""0-10: from 5 on a core carries the sixty calls it should, with room to spare (`bench.codecs`)."""
BITRATES: Final = {8_000: 16_000, 12_000: 20_000, 16_000: 24_000, 24_000: 32_000, 48_000: 40_000}
"""Bits a second: speech that is hard to tell from what went in, with room for in-band FEC."""
MAX_PAYLOAD: Final = 1_200
"""Bytes; fits every path."""
LOSS_STEP: Final = 0.02
"""A change smaller than this is not worth telling the encoder."""
MAX_LOSS: Final = 0.3

_GRAIN: Final = CLOCK // 400
"""2.5 ms: libopus conceals multiples of it."""


class OpusDecoder:
    """One stream's decoder. Raises LibraryMissing when it is made."""

    def __init__(self, rate: int) -> None:
        if rate not in RATES:
            raise ValueError(f"Opus has no rate {rate}")
        self._ffi, self._lib = load()
        error = self._ffi.new("int *")
        decoder = self._lib.opus_decoder_create(rate, 1, error)
        if error[0]:
            raise MemoryError("no decoder of libopus")
        self._decoder = self._ffi.gc(decoder, self._lib.opus_decoder_destroy)
        self._rate = rate
        self._room = rate * MAX_DURATION // CLOCK
        self._pcm = self._ffi.new("int16_t[]", self._room)
        self._bytes = self._ffi.buffer(self._pcm)

    def duration(self, payload: bytes) -> int:
        """At 48 kHz. Raises Malformed."""
        return parse_opus_duration(payload)

    def decode(self, payload: bytes) -> bytes:
        """PCM of a payload; empty if libopus refuses it."""
        return self._decode(payload, self._room, 0)

    def conceal(self, duration: int, following: bytes | None) -> bytes:
        """From the low-rate copy that the following packet may have of the lost one, or by guessing."""
        grains = min(max(duration // _GRAIN, 1), MAX_DURATION // _GRAIN)
        samples = grains * self._rate // 400
        if following is not None and (pcm := self._decode(following, samples, 1)):
            return pcm
        return self._decode(self._ffi.NULL, samples, 0) or bytes(2 * samples)

    def _decode(self, payload: bytes | object, room: int, fec: int) -> bytes:
        length = len(payload) if isinstance(payload, bytes) else 0
        samples = self._lib.opus_decode(self._decoder, payload, length, self._pcm, room, fec)
        return bytes(self._bytes[: 2 * samples]) if samples > 0 else b""


class OpusEncoder:
    """One stream's encoder, for mono speech. Raises LibraryMissing when it is made."""

    def __init__(
        self,
        rate: int,
        *,
        bitrate: int = 0,
        complexity: int = COMPLEXITY,
        fec: bool = True,
        dtx: bool = False,
    ) -> None:
        """`bitrate` in bits a second, 0 takes what suits the rate; `fec`: the peer can use it."""
        if rate not in RATES:
            raise ValueError(f"Opus has no rate {rate}")
        self._ffi, self._lib = load()
        error = self._ffi.new("int *")
        encoder = self._lib.opus_encoder_create(rate, 1, VOIP, error)
        if error[0]:
            raise MemoryError("no encoder of libopus")
        self._encoder = self._ffi.gc(encoder, self._lib.opus_encoder_destroy)
        self._out = self._ffi.new("unsigned char[]", MAX_PAYLOAD)
        self._payload = self._ffi.buffer(self._out)
        self._fec = fec
        self._loss = 0.0
        self._set(SET_BITRATE, bitrate or BITRATES[rate])
        self._set(SET_COMPLEXITY, complexity)
        self._set(SET_DTX, dtx)

    def encode(self, pcm: bytes) -> bytes:
        """The payload; empty if it would say only that silence goes on. Raises ValueError on a length
        that is no frame.
        """
        samples = self._ffi.from_buffer("int16_t[]", pcm)
        length = self._lib.opus_encode(
            self._encoder, samples, len(pcm) // 2, self._out, MAX_PAYLOAD
        )
        if length < 0:
            raise ValueError(f"libopus does not encode {len(pcm)} bytes: {length}")
        return b"" if length <= SILENT else bytes(self._payload[:length])

    def expect_loss(self, share: float) -> None:
        """Spend bits on repeating the last frame as far as that pays (OPUS_SET_PACKET_LOSS_PERC)."""
        share = min(max(share, 0.0), MAX_LOSS)
        if not self._fec or (abs(share - self._loss) < LOSS_STEP and (share or not self._loss)):
            return
        self._loss = share
        self._set(SET_INBAND_FEC, share > 0)
        self._set(SET_PACKET_LOSS, round(share * 100))

    def _set(self, request: int, value: int) -> None:
        if self._lib.opus_encoder_ctl(self._encoder, request, self._ffi.cast("int", value)):
            raise ValueError(f"libopus refuses {value} for {request}")
