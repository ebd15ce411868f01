from __future__ import annotations

import ctypes.util
import io
import math
import wave
from array import array
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.caller.source import SilentOpus, WavSource
from workers.wire.companding import Law


def wav(samples: list[int], *, rate: int = 8000, channels: int = 1, width: int = 2) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(array("h", samples).tobytes())
    return buffer.getvalue()


def tone(rate: int, seconds: float = 0.1) -> list[int]:
    return [int(10000 * math.sin(2 * math.pi * 440 * i / rate)) for i in range(int(rate * seconds))]


def test_opus_frames_are_told_apart_by_call_and_number() -> None:
    mine, other = SilentOpus(7), SilentOpus(8)
    assert mine.index_of(mine.frame(123456), 0) == 123456
    assert other.index_of(mine.frame(5), 0) is None
    assert mine.index_of(mine.frame(5)[:-1], 0) is None
    assert mine.index_of(mine.frame(5)[:-1] + b"\0", 0) is None


@given(st.binary(max_size=100))
def test_any_other_payload_is_not_ours(payload: bytes) -> None:
    assert SilentOpus(1).index_of(payload, 0) is None


def test_opus_frames_are_packets_of_silence_to_a_real_decoder() -> None:
    name = ctypes.util.find_library("opus")
    if name is None:
        pytest.skip("needs libopus")
    opus = ctypes.CDLL(name)
    opus.opus_decoder_create.restype = ctypes.c_void_p
    decoder = ctypes.c_void_p(opus.opus_decoder_create(48000, 1, None))
    pcm = (ctypes.c_int16 * 5760)()
    for index in range(10):
        packet = SilentOpus(3).frame(index)
        assert opus.opus_decode(decoder, packet, len(packet), pcm, 5760, 0) == 960
        assert max(abs(sample) for sample in pcm) < 4
    opus.opus_decoder_destroy(decoder)


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 32000, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_wav_of_any_rate_sounds_the_same(rate: int, channels: int) -> None:
    samples = [sample for sample in tone(rate) for _ in range(channels)]
    source = WavSource.parse(wav(samples, rate=rate, channels=channels))
    sound = array("h", Law("pcmu").expand(b"".join(map(source.frame, range(5)))))
    crossings = sum((a < 0) != (b < 0) for a, b in pairwise(sound))
    assert len(sound) == 800
    assert 84 <= crossings <= 90
    assert 9000 < max(sound) < 11000


def test_wav_repeats_and_its_last_frame_is_filled_with_silence() -> None:
    source = WavSource.parse(wav(tone(8000, 0.03)))
    assert source.frame(0) == source.frame(2) != source.frame(1)
    assert source.frame(1)[80:] == b"\xff" * 80
    assert source.index_of(source.frame(7), 7 * 160) == 7
    assert source.index_of(source.frame(7), 8 * 160) is None
    assert source.index_of(source.frame(7), 7 * 160 + 1) is None


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "cut short"),
        (b"ID3" + bytes(100), "not a PCM WAV"),
        (wav([1, 2], rate=44100), "44100 Hz"),
        (wav([1, 2], width=1), "8-bit"),
        (wav([]), "no samples"),
        (wav([1, 2], rate=48000), "no samples"),
    ],
)
def test_what_cannot_be_spoken_is_said(content: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        WavSource.parse(content)


@given(st.binary(max_size=200))
def test_arbitrary_files_parse_or_raise_value_error(content: bytes) -> None:
    for data in (content, wav(tone(8000, 0.01))[:20] + content):
        with suppress(ValueError):
            WavSource.parse(data)
