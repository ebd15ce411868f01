"""What a peer wishes of Opus, and what the machine must have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.transceiver.audio import libopus, resampler
from workers.transceiver.audio.formats import (
    OpusWishes,
    make_decoder,
    make_encoder,
    read_opus_wishes,
    require,
)
from workers.transceiver.audio.library import LibraryMissing
from workers.transceiver.core.streams.interface import Codec

OPUS = Codec("opus", 111, 48_000, 2, "minptime=10;useinbandfec=1")
PCMU = Codec("pcmu", 0, 8_000)


@pytest.mark.parametrize(
    ("parameters", "wishes"),
    [
        ("", OpusWishes()),
        ("minptime=10;useinbandfec=1", OpusWishes(fec=True)),
        ("useinbandfec=0; UseDtx = 1", OpusWishes(dtx=True)),
        ("maxaveragebitrate=20000;stereo=1", OpusWishes(bitrate=20_000)),
        ("maxaveragebitrate=1", OpusWishes(bitrate=6_000)),
        ("maxaveragebitrate=9999999", OpusWishes(bitrate=128_000)),
        ("maxaveragebitrate=-5;useinbandfec", OpusWishes()),
        ("maxaveragebitrate=99999999999999999999", OpusWishes()),
    ],
)
def test_wishes(parameters: str, wishes: OpusWishes) -> None:
    assert read_opus_wishes(parameters) == wishes


@given(st.text(max_size=200))
def test_any_text_is_some_wish(parameters: str) -> None:
    wishes = read_opus_wishes(parameters)
    assert wishes.bitrate == 0 or 6_000 <= wishes.bitrate <= 128_000
    make_encoder(Codec("opus", 111, 48_000, 2, parameters), 16_000)


def test_each_codec_has_its_own() -> None:
    for codec in (OPUS, PCMU, Codec("pcma", 8, 8_000)):
        payload = make_encoder(codec, 16_000).encode(bytes(640))
        assert len(make_decoder(codec, 16_000).decode(payload)) == 640


def test_what_is_missing_is_missed_only_where_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (libopus, resampler):
        monkeypatch.setattr(module, "SONAME", "hidden.so.0")
        module.load.cache_clear()
    try:
        with pytest.raises(LibraryMissing, match="libopus0"):
            require(OPUS, 16_000)
        with pytest.raises(LibraryMissing, match="libspeexdsp1"):
            require(PCMU, 16_000)
        require(PCMU, 8_000)
    finally:
        monkeypatch.undo()
        for module in (libopus, resampler):
            module.load.cache_clear()
    require(OPUS, 16_000)
    require(PCMU, 16_000)
