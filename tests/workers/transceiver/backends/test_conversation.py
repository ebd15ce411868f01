"""A session's audio between RTP and a back end, both ways, by a clock of the test's."""

from __future__ import annotations

import math
import struct
from itertools import pairwise
from typing import TypeVar

import pytest

from ipc.backend.messages import (
    AudioFormat,
    AudioIn,
    AudioOut,
    Dtmf,
    Encoding,
    Error,
    ErrorCode,
    Flush,
    Pause,
    Playback,
    PlaybackEvent,
    Resume,
    Speech,
)
from workers.transceiver.backends.conversation import Conversation, Output, unfit
from workers.transceiver.backends.ears import VoiceActivity
from workers.transceiver.core.streams.interface import (
    AudioParameters,
    AudioReceived,
    Codec,
    SendAudio,
)

OPUS = Codec("opus", 111, 48_000, 2, "minptime=10;useinbandfec=1")
KEYS = Codec("telephone-event", 110, 48_000)
AUDIO = AudioParameters("0", (OPUS, KEYS), sends=True, receives=True)
PCM = AudioFormat(Encoding.PCM, 16_000)
S = "rtc_0_s"

Kind = TypeVar("Kind")


def entropy(count: int) -> bytes:
    return bytes(count)


def make(
    wanted: AudioFormat | None = None,
    voice: VoiceActivity | None = None,
    *,
    barge_in: bool = False,
) -> Conversation:
    return Conversation(
        S,
        AUDIO,
        wanted or AudioFormat(),
        buffer=10.0,
        entropy=entropy,
        now=0.0,
        voice=voice,
        barge_in=barge_in,
    )


def heard(number: int, payload: bytes = b"\xfc\xff\xfe", payload_type: int = 111) -> AudioReceived:
    return AudioReceived(payload, payload_type, number & 0xFFFF, 960 * number, False, 7)


def run(it: Conversation, since: float, until: float) -> list[tuple[float, Output]]:
    seen: list[tuple[float, Output]] = []
    while (due := it.next_timeout()) is not None and due <= until:
        now = max(due, since)
        seen += [(now, output) for output in it.handle_timeout(now)]
        assert (after := it.next_timeout()) is None or after > now - 1e-9, "it spins"
    return seen


def only(kind: type[Kind], outputs: list[tuple[float, Output]]) -> list[Kind]:
    return [output for _, output in outputs if isinstance(output, kind)]


def tone(milliseconds: int, rate: int = 16_000, hertz: int = 440) -> bytes:
    samples = (
        round(9000 * math.sin(2 * math.pi * hertz * n / rate))
        for n in range(rate * milliseconds // 1000)
    )
    return b"".join(struct.pack("<h", sample) for sample in samples)


def test_packets_pass_through_untouched_with_their_time() -> None:
    it = make()
    items = [item for number in range(3) for item in it.hear(heard(number), 0.02 * number)]
    assert items == [AudioIn(S, 20 * n, b"\xfc\xff\xfe") for n in range(3)]


def test_a_lost_packet_is_told() -> None:
    it = make()
    it.hear(heard(0), 0.0)
    assert it.hear(heard(2), 0.04) == []
    items = only(AudioIn, run(it, 0.0, 0.2))
    assert items == [AudioIn(S, 20, lost=20), AudioIn(S, 40, b"\xfc\xff\xfe")]


def test_what_a_back_end_says_is_paced_and_counted() -> None:
    it = make()
    for _ in range(10):
        it.say(AudioOut(S, b"frame", "a"), 0.0)
    it.say(AudioOut(S, b"", "a", last=True), 0.0)
    seen = run(it, 0.0, 1.0)
    frames = only(SendAudio, seen)
    assert [frame.timestamp for frame in frames] == [960 * n for n in range(10)]
    assert {frame.payload_type for frame in frames} == {111}
    assert [p.event for p in only(Playback, seen)][-1] is PlaybackEvent.DRAINED
    assert only(Playback, seen)[-1].played == 200


def test_flush_pause_and_resume() -> None:
    it = make()
    for _ in range(50):
        it.say(AudioOut(S, b"frame", "a"), 0.0)
    run(it, 0.0, 0.1)
    it.say(Pause(S), 0.1)
    assert only(SendAudio, run(it, 0.1, 0.5)) == []
    it.say(Resume(S), 0.5)
    assert len(only(SendAudio, run(it, 0.5, 0.6))) in range(4, 8)
    (cleared,) = it.say(Flush(S), 0.6)
    assert isinstance(cleared, Playback)
    assert cleared.event is PlaybackEvent.CLEARED
    assert only(SendAudio, run(it, 0.6, 1.0)) == []


def test_a_flood_is_an_error_of_that_session() -> None:
    it = make()
    replies = [out for _ in range(501) for out in it.say(AudioOut(S, b"frame"), 0.0)]
    (error,) = replies
    assert isinstance(error, Error)
    assert (error.code, error.session) == (ErrorCode.AUDIO_FLOOD, S)


def test_pcm_comes_by_the_clock_whatever_the_network_does() -> None:
    it = make(PCM)
    steps = only(AudioIn, run(it, 0.0, 1.0))
    assert [step.at for step in steps] == [20 * n for n in range(50)]
    assert {len(step.payload) for step in steps} == {640}


def test_pcm_goes_and_comes_back_as_the_same_sound() -> None:
    there, back = make(PCM), make(PCM)
    it = tone(1000)
    there.say(AudioOut(S, it, "a", last=True), 0.0)
    sound = bytearray()
    sequence = 0
    for step in range(70):
        now = 0.02 * step
        for output in there.handle_timeout(now):
            if isinstance(output, SendAudio):
                frame = AudioReceived(output.payload, 111, sequence, output.timestamp, False, 9)
                back.hear(frame, now)
                sequence += 1
        for item in back.handle_timeout(now):
            if isinstance(item, AudioIn):
                sound += item.payload
    samples = struct.unpack(f"<{len(sound) // 2}h", sound)[8_000:12_000]
    power = sum(s * s for s in samples) / len(samples)
    real = sum(s * math.cos(2 * math.pi * 440 * n / 16_000) for n, s in enumerate(samples))
    imaginary = sum(s * math.sin(2 * math.pi * 440 * n / 16_000) for n, s in enumerate(samples))
    at_440 = 2 * (real**2 + imaginary**2) / len(samples) ** 2
    assert power > 9000**2 / 8
    assert at_440 > 0.8 * power


@pytest.mark.parametrize("wanted", [AudioFormat(), PCM])
def test_keys_take_the_place_of_audio_which_waits(wanted: AudioFormat) -> None:
    it = make(wanted)
    payload = tone(20) if wanted is PCM else b"frame"
    for _ in range(50):
        it.say(AudioOut(S, payload, "a"), 0.0)
    run(it, 0.0, 0.1)
    assert it.say(Dtmf(S, "5"), 0.11) == []
    frames = only(SendAudio, run(it, 0.11, 3.0))
    keys = [frame for frame in frames if frame.payload_type == 110]
    audio = [frame for frame in frames if frame.payload_type == 111]
    assert keys[0].marker
    assert len({key.timestamp for key in keys}) == 1
    assert len(audio) == 44
    stamps = [frame.timestamp for frame in audio]
    assert stamps == sorted(stamps)
    assert stamps[0] > keys[0].timestamp
    assert all(after.timestamp - before.timestamp == 960 for before, after in pairwise(audio))


def test_keys_before_the_first_word() -> None:
    it = make()
    it.say(Dtmf(S, "5"), 0.0)
    run(it, 0.0, 1.0)
    it.say(AudioOut(S, b"frame", "a"), 1.0)
    (frame,) = only(SendAudio, run(it, 1.0, 1.1))
    assert 0 < frame.timestamp < 48_000 * 2


def test_what_is_no_key_is_an_error() -> None:
    (error,) = make().say(Dtmf(S, "x"), 0.0)
    assert isinstance(error, Error)


def test_keys_of_the_client_are_told_once() -> None:
    it = make()
    for step in range(8):
        end, duration = step >= 5, min(step + 1, 6) * 960
        event = struct.pack(">BBH", 7, 0x80 * end | 10, duration)
        packet = AudioReceived(event, 110, step, 5000, step == 0, 7)
        items = it.hear(packet, 0.02 * step)
        assert items == ([Dtmf(S, "7", 120)] if step == 5 else [])


class Shouting:
    """Takes everything that is not silence for speech."""

    def __init__(self) -> None:
        self._speaks = False

    def handle(self, pcm: bytes, at: int) -> list[tuple[bool, int]]:
        speaks = any(pcm)
        changed, self._speaks = speaks != self._speaks, speaks
        return [(speaks, at)] if changed else []


def test_speech_is_told_and_stops_what_plays_if_it_should() -> None:
    source = make(PCM)
    source.say(AudioOut(S, tone(400), "a", last=True), 0.0)
    frames = only(SendAudio, run(source, 0.0, 1.0))
    it = make(PCM, Shouting(), barge_in=True)
    it.say(AudioOut(S, tone(5000), "long"), 0.0)
    seen: list[Output] = []
    for step, frame in enumerate(frames):
        now = 0.02 * step
        it.hear(AudioReceived(frame.payload, 111, step, frame.timestamp, False, 7), now)
        seen += it.handle_timeout(now)
    kinds = [type(item) for item in seen if isinstance(item, Speech | Playback)]
    begun = kinds.index(Speech)
    after = [item for item in seen if isinstance(item, Playback)][-1]
    assert after.event is PlaybackEvent.CLEARED
    assert kinds[begun + 1] is Playback


def test_what_would_have_to_be_transcoded_is_refused() -> None:
    assert unfit(AUDIO, AudioFormat()) == ""
    assert unfit(AUDIO, PCM) == ""
    assert "opus" in unfit(AUDIO, AudioFormat(Encoding.PCMU, 8_000))
    assert "PCM" in unfit(AUDIO, AudioFormat(), listens=True)
    assert unfit(None, AudioFormat(Encoding.PCMU, 8_000)) == ""
