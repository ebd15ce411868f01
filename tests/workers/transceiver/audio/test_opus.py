"""Opus through the machine's libopus: sound, loss, silence, and payloads made to hurt."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.sound import frames, loudness, strength, tone
from workers.transceiver.audio.opus import MAX_PAYLOAD, OpusDecoder, OpusEncoder
from workers.wire.opus import parse_opus_duration

FRAME = 960


def coded(rate: int, seconds: float = 1.0, **settings: int) -> list[bytes]:
    encoder = OpusEncoder(rate, **settings)  # type: ignore[arg-type]
    return [encoder.encode(pcm) for pcm in frames(tone(rate, seconds), rate)]


@pytest.mark.parametrize("rate_in", [16_000, 24_000, 48_000])
@pytest.mark.parametrize("rate_out", [16_000, 24_000, 48_000])
def test_a_tone_stays_that_tone_at_every_rate(rate_in: int, rate_out: int) -> None:
    decoder = OpusDecoder(rate_out)
    payloads = coded(rate_in)
    assert {parse_opus_duration(payload) for payload in payloads} == {FRAME}
    pcm = b"".join(decoder.decode(payload) for payload in payloads)
    assert len(pcm) == 2 * rate_out
    assert strength(pcm[len(pcm) // 4 :], rate_out) > 0.95
    assert loudness(pcm[len(pcm) // 4 :]) == pytest.approx(7071, rel=0.1)


@pytest.mark.parametrize("milliseconds", [10, 20, 40, 60])
def test_every_length_of_frame(milliseconds: int) -> None:
    payload = OpusEncoder(16_000).encode(tone(16_000, milliseconds / 1000))
    assert OpusDecoder(16_000).duration(payload) == 48 * milliseconds
    assert len(OpusDecoder(24_000).decode(payload)) == 48 * milliseconds


def heard(payloads: Sequence[bytes], lost: set[int], *, repair: bool) -> bytes:
    """The sound that is left when some packets are lost."""
    decoder, pcm = OpusDecoder(16_000), b""
    for n, payload in enumerate(payloads):
        if n in lost:
            whole = repair and n + 1 not in lost and n + 1 < len(payloads)
            pcm += decoder.conceal(FRAME, payloads[n + 1] if whole else None)
        else:
            pcm += decoder.decode(payload)
    return pcm


def test_a_gap_is_concealed() -> None:
    payloads = coded(16_000)
    pcm = heard(payloads, {20, 30}, repair=False)
    assert len(pcm) == 2 * 16_000
    gap = pcm[20 * 640 : 21 * 640]
    assert loudness(gap) > 2000
    assert strength(pcm[8000:], 16_000) > 0.9


def test_a_guess_fades_in_the_end() -> None:
    decoder = OpusDecoder(16_000)
    for payload in coded(16_000, 0.4):
        decoder.decode(payload)
    levels = [loudness(decoder.conceal(FRAME, None)) for _ in range(30)]
    assert levels[0] > 4 * levels[-1]


def voice(rate: int, seconds: float) -> bytes:
    """Syllables of changing pitch: what a guess cannot foresee."""
    random = Random(4)
    return b"".join(
        tone(rate, 0.06, random.uniform(120, 900), random.choice([400, 9_000, 14_000]))
        for _ in range(round(seconds / 0.06))
    )


def test_what_was_lost_is_in_the_packet_behind_it() -> None:
    encoder = OpusEncoder(16_000)
    encoder.expect_loss(0.2)
    payloads = [encoder.encode(pcm) for pcm in frames(voice(16_000, 3), 16_000)]
    whole = heard(payloads, set(), repair=True)
    lost = set(range(10, 140, 7))

    def error(pcm: bytes) -> float:
        """Loudness of the difference, in the gaps."""
        total = 0.0
        for n in lost:
            cut = slice(n * 640, (n + 1) * 640)
            one, other = memoryview(whole[cut]).cast("h"), memoryview(pcm[cut]).cast("h")
            total += sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
        return total

    assert error(heard(payloads, lost, repair=True)) < 0.7 * error(
        heard(payloads, lost, repair=False)
    )


def test_fec_costs_only_while_loss_is_expected() -> None:
    encoder = OpusEncoder(16_000, bitrate=24_000)
    sound = frames(voice(16_000, 2), 16_000)
    encoder.expect_loss(0.0)
    plain = heard([encoder.encode(pcm) for pcm in sound], set(), repair=False)
    assert plain
    same = OpusEncoder(16_000, fec=False)
    same.expect_loss(0.2)
    reference = OpusEncoder(16_000, fec=False)
    assert [same.encode(pcm) for pcm in sound] == [reference.encode(pcm) for pcm in sound]


def test_silence_is_not_sent() -> None:
    encoder = OpusEncoder(16_000, dtx=True)
    silence = bytes(640)
    payloads = [encoder.encode(silence) for _ in range(100)]
    assert sum(bool(payload) for payload in payloads[50:]) <= 5
    assert all(OpusEncoder(16_000).encode(silence) for _ in range(5))
    assert encoder.encode(frames(tone(16_000, 0.02), 16_000)[0])


@pytest.mark.parametrize("length", [0, 2, 638, 642, 5000])
def test_a_frame_of_no_length_is_our_own_mistake(length: int) -> None:
    with pytest.raises(ValueError, match="does not encode"):
        OpusEncoder(16_000).encode(bytes(length))


def test_a_rate_that_opus_has_not_is_our_own_mistake() -> None:
    for make in (OpusDecoder, OpusEncoder):
        with pytest.raises(ValueError, match="44100"):
            make(44_100)
    with pytest.raises(ValueError, match="refuses 11"):
        OpusEncoder(16_000, complexity=11)


@given(
    st.lists(
        st.tuples(
            st.one_of(
                st.binary(max_size=64),
                st.binary(min_size=1200, max_size=MAX_PAYLOAD + 300),
                st.builds(
                    lambda first, rest: bytes([first]) + rest,
                    st.integers(0, 255),
                    st.binary(max_size=300),
                ),
            ),
            st.integers(-10, 10_000),
        ),
        max_size=12,
    ),
    st.sampled_from([16_000, 48_000]),
)
@settings(max_examples=300, deadline=None)
def test_whatever_comes_the_decoder_lives(packets: list[tuple[bytes, int]], rate: int) -> None:
    decoder = OpusDecoder(rate)
    most = rate * 120 // 1000 * 2
    for payload, gap in packets:
        assert len(decoder.decode(payload)) <= most
        assert 0 < len(decoder.conceal(gap, payload)) <= most
        assert 0 < len(decoder.conceal(gap, None)) <= most
    good = coded(rate, 0.1)
    assert len(decoder.decode(good[-1])) == rate // 50 * 2


def test_thousands_of_damaged_packets_are_survived() -> None:
    random = Random(9)
    decoder = OpusDecoder(16_000)
    for payload in coded(16_000, 1.0) * 40:
        damaged = bytearray(payload)
        for _ in range(random.randint(1, 8)):
            damaged[random.randrange(len(damaged))] = random.randrange(256)
        assert len(decoder.decode(bytes(damaged[: random.randint(1, len(damaged))]))) <= 3840
