"""From what was negotiated to what decodes and encodes it."""

from __future__ import annotations

from typing import Final, NamedTuple

from workers.transceiver.audio import libopus, resampler
from workers.transceiver.audio.g711 import CLOCK as G711_CLOCK
from workers.transceiver.audio.g711 import G711Decoder, G711Encoder
from workers.transceiver.audio.interface import Decoder, Encoder
from workers.transceiver.audio.opus import BITRATES, COMPLEXITY, OpusDecoder, OpusEncoder
from workers.transceiver.core.streams.interface import Codec

RATES: Final = (16_000, 24_000, 48_000)
"""Of the PCM that back ends get and give, in Hz; 16 bits, mono."""
EVENTS: Final = "telephone-event"
"""The name of the one format that is no sound."""
_LEAST_BITRATE: Final = 6_000
_MOST_BITRATE: Final = 128_000


class OpusWishes(NamedTuple):
    """What a peer would like to receive (RFC 7587, 6.1): its `fmtp`."""

    fec: bool = False
    dtx: bool = False
    bitrate: int = 0
    """Bits a second at most on average; 0 for no wish."""


def read_opus_wishes(parameters: str) -> OpusWishes:
    """Of an `fmtp` value, which anybody may have written: what makes no sense is no wish."""
    wishes: dict[str, str] = {}
    for part in parameters.split(";")[:32]:
        name, _, value = part.partition("=")
        wishes[name.strip().lower()] = value.strip()
    most = wishes.get("maxaveragebitrate", "")
    bitrate = int(most) if most.isascii() and most.isdigit() and len(most) <= 7 else 0
    return OpusWishes(
        wishes.get("useinbandfec") == "1",
        wishes.get("usedtx") == "1",
        min(max(bitrate, _LEAST_BITRATE), _MOST_BITRATE) if bitrate else 0,
    )


def require(codec: Codec, rate: int) -> None:
    """Raises LibraryMissing if this machine cannot turn that codec into PCM and back."""
    if codec.name == "opus":
        libopus.load()
    elif rate != G711_CLOCK:
        resampler.load()


def make_decoder(codec: Codec, rate: int) -> Decoder:
    """One stream's. Raises LibraryMissing."""
    return OpusDecoder(rate) if codec.name == "opus" else G711Decoder(codec.name, rate)


def make_encoder(codec: Codec, rate: int, complexity: int = COMPLEXITY) -> Encoder:
    """One stream's, as the peer wishes it. Raises LibraryMissing."""
    if codec.name != "opus":
        return G711Encoder(codec.name, rate)
    wishes = read_opus_wishes(codec.parameters)
    bitrate = min(wishes.bitrate or BITRATES[rate], BITRATES[rate])
    return OpusEncoder(rate, bitrate=bitrate, complexity=complexity, fec=wishes.fec, dtx=wishes.dtx)
