"""G.711 as PCM at the rates of back ends: tone, gaps, lengths."""

from __future__ import annotations

import pytest

from tests.support.sound import frames, loudness, strength, tone
from workers.transceiver.audio.g711 import MAX_PAYLOAD, G711Decoder, G711Encoder
from workers.wire.types import Malformed


@pytest.mark.parametrize("name", ["pcmu", "pcma"])
@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 48_000])
def test_a_tone_stays_that_tone(name: str, rate: int) -> None:
    encoder, decoder = G711Encoder(name, rate), G711Decoder(name, rate)
    out = b""
    for pcm in frames(tone(rate, 1.0), rate):
        payload = encoder.encode(pcm)
        assert decoder.duration(payload) == 160
        out += decoder.decode(payload)
    assert len(out) == 2 * rate
    assert strength(out[4000:], rate) > 0.99
    assert loudness(out[4000:]) == pytest.approx(7071, rel=0.03)


def test_a_gap_is_concealed() -> None:
    encoder, decoder = G711Encoder("pcmu", 16_000), G711Decoder("pcmu", 16_000)
    payloads = [encoder.encode(pcm) for pcm in frames(tone(16_000, 0.5), 16_000)]
    pieces = [
        decoder.conceal(160, None) if n == 12 else decoder.decode(payload)
        for n, payload in enumerate(payloads)
    ]
    assert {len(piece) for piece in pieces[1:]} == {640}
    assert loudness(pieces[12]) > 3000
    assert strength(b"".join(pieces[2:]), 16_000) > 0.95


@pytest.mark.parametrize("length", [0, MAX_PAYLOAD + 1])
def test_what_cannot_be_is_malformed(length: int) -> None:
    with pytest.raises(Malformed):
        G711Decoder("pcma", 8_000).duration(bytes(length))


@pytest.mark.parametrize("duration", [-5, 0, 1, 100_000])
def test_any_gap_has_some_length(duration: int) -> None:
    assert 0 < len(G711Decoder("pcma", 8_000).conceal(duration, None)) <= 2 * MAX_PAYLOAD
