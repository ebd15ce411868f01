"""What one end says the other one hears: through loss, silence, other codecs, keys and garbage."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.sound import frames, loudness, strength, tone
from workers.transceiver.audio import libopus, resampler
from workers.transceiver.audio.hearing import Hearing
from workers.transceiver.audio.interface import Dtmf
from workers.transceiver.audio.library import LibraryMissing
from workers.transceiver.audio.speaking import Speaking
from workers.transceiver.core.streams.interface import AudioReceived, Codec, SendAudio

OPUS = Codec("opus", 111, 48_000, 2, "minptime=10;useinbandfec=1")
PCMU = Codec("pcmu", 0, 8_000)
PCMA = Codec("pcma", 8, 8_000)
KEYS = Codec("telephone-event", 110, 48_000)
ALL = (OPUS, PCMU, PCMA, KEYS)


class Wire:
    """From a mouth to an ear in virtual time, 20 ms a step."""

    def __init__(
        self,
        *codecs: Codec,
        rate: int = 16_000,
        lost: Callable[[int], bool] = lambda _: False,
        packet_time: int = 20,
    ) -> None:
        self.rate = rate
        self.mouth = Speaking(codecs, rate, bytes, packet_time=packet_time)
        self.ear = Hearing(ALL, rate)
        self.lost = lost
        self.sequence = 65_530
        self.now = 10.0
        self.heard = b""
        self.keys: list[Dtmf] = []
        self.silent = 0
        self.concealed = 0

    def send(self, packet: SendAudio) -> None:
        self.sequence += 1
        if not self.lost(self.sequence):
            self.keys += self.ear.handle(
                AudioReceived(
                    packet.payload, packet.payload_type, self.sequence & 0xFFFF, packet.timestamp,
                    packet.marker, 7,
                ),
                self.now,
            )  # fmt: skip

    def say(self, pcm: bytes) -> None:
        for frame in frames(pcm, self.rate):
            self.step(frame)

    def step(self, frame: bytes) -> None:
        for packet in self.mouth.step(frame):
            self.send(packet)
        taken = self.ear.take(self.now + 0.005)
        assert len(taken.pcm) == self.rate // 50 * 2
        self.heard += taken.pcm
        self.silent += taken.silent
        self.concealed += taken.concealed
        self.now += 0.02


@pytest.mark.parametrize("codec", [OPUS, PCMU, PCMA], ids=lambda codec: codec.name)
@pytest.mark.parametrize("rate", [16_000, 24_000, 48_000])
def test_a_tone_is_heard_as_that_tone(codec: Codec, rate: int) -> None:
    wire = Wire(codec, rate=rate)
    wire.say(tone(rate, 2))
    heard = wire.heard[len(wire.heard) // 2 :]
    assert strength(heard, rate) > 0.95
    assert loudness(heard) == pytest.approx(7071, rel=0.1)
    stats = wire.ear.stats
    assert (stats.lost, stats.late, stats.malformed, stats.concealed) == (0, 0, 0, 0)
    assert stats.packets == 100
    assert stats.delay <= 0.03
    assert wire.concealed == 0


@pytest.mark.parametrize("packet_time", [10, 40, 60])
def test_packets_of_any_length(packet_time: int) -> None:
    wire = Wire(OPUS, packet_time=packet_time)
    wire.say(tone(16_000, 3))
    assert strength(wire.heard[48_000:], 16_000) > 0.9
    assert wire.ear.stats.lost == 0


@pytest.mark.parametrize("codec", [OPUS, PCMU], ids=lambda codec: codec.name)
def test_one_packet_in_ten_lost_is_still_speech(codec: Codec) -> None:
    random = Random(2)
    wire = Wire(codec, lost=lambda _: random.random() < 0.1)
    wire.mouth.expect_loss(0.1)
    wire.say(tone(16_000, 6))
    stats = wire.ear.stats
    assert 20 <= stats.lost <= 40
    assert stats.concealed == pytest.approx(stats.lost * 0.02, rel=0.3)
    assert wire.concealed >= stats.lost * 0.8
    quiet = [n for n in range(50, 290) if loudness(wire.heard[n * 640 : n * 640 + 640]) < 500]
    assert quiet == []
    assert strength(wire.heard[32_000:64_000], 16_000) > 0.6


def test_who_says_nothing_is_silent_and_not_lost() -> None:
    wire = Wire(OPUS)
    wire.say(tone(16_000, 1))
    for _ in range(100):
        wire.step(b"")
    assert loudness(wire.heard[-6400:]) == 0
    silent = wire.silent
    wire.say(tone(16_000, 1))
    assert wire.silent <= silent + 2
    assert wire.ear.stats.lost == 0
    assert strength(wire.heard[-16_000:], 16_000) > 0.9


def test_keys_are_heard_beside_speech() -> None:
    wire = Wire(OPUS, KEYS)
    wire.say(tone(16_000, 0.5))
    for digit in "42":
        assert wire.mouth.press(digit)
    wire.say(tone(16_000, 1))
    assert [press.digit for press in wire.keys] == ["4", "2"]
    assert wire.ear.stats.lost == 0
    assert wire.ear.next_timeout() is None


def test_a_key_whose_end_is_lost_comes_up_in_the_end() -> None:
    wire = Wire(OPUS, KEYS)
    ear = wire.ear
    ear.handle(AudioReceived(b"\x01\x0a\x03\xc0", 110, 1, 0, True, 7), 1.0)
    due = ear.next_timeout()
    assert due is not None
    assert ear.handle_timeout(due) == [Dtmf("1", 0.02)]


def test_the_codec_may_change_in_the_middle() -> None:
    wire = Wire(OPUS)
    wire.say(tone(16_000, 1))
    for codec in (PCMU, PCMA, OPUS):
        wire.mouth = Speaking((codec,), 16_000, bytes)
        wire.say(tone(16_000, 1))
        assert strength(wire.heard[-24_000:], 16_000) > 0.9
    assert wire.ear.stats.packets == 200


def test_garbage_is_concealed_and_counted() -> None:
    wire = Wire(OPUS)
    wire.say(tone(16_000, 0.5))
    for payload in (b"", b"\x03\x00", b"\x4b\x86" + bytes(3), b"\xff" * 1500):
        wire.send(SendAudio(payload, 0, 111))
        wire.step(b"")
    assert wire.ear.stats.malformed >= 2
    wire.say(tone(16_000, 1))
    assert strength(wire.heard[-16_000:], 16_000) > 0.9


def test_unknown_payload_types_are_not_heard() -> None:
    ear = Hearing((OPUS,), 16_000)
    assert ear.handle(AudioReceived(b"x", 99, 1, 0, False, 7), 0.0) == []
    assert ear.stats.packets == 0


def test_what_this_machine_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampler, "SONAME", "hidden.so.0")
    resampler.load.cache_clear()
    try:
        ear = Hearing(ALL, 16_000)
        ear.handle(AudioReceived(bytes(160), 0, 1, 0, False, 7), 0.0)
        assert ear.stats.packets == 0
        with pytest.raises(LibraryMissing):
            Hearing((PCMU,), 16_000)
    finally:
        monkeypatch.undo()
        resampler.load.cache_clear()
    monkeypatch.setattr(libopus, "SONAME", "hidden.so.0")
    libopus.load.cache_clear()
    try:
        with pytest.raises(LibraryMissing):
            Hearing(ALL, 16_000)
    finally:
        monkeypatch.undo()
        libopus.load.cache_clear()


PACKETS = st.tuples(
    st.builds(
        AudioReceived,
        st.binary(max_size=200) | st.just(bytes(1500)),
        st.sampled_from([111, 0, 8, 110, 5]),
        st.integers(0, 0xFFFF),
        st.integers(0, 0xFFFFFFFF),
        st.booleans(),
        st.integers(1, 2),
    ),
    st.floats(0, 0.5),
)


@given(st.lists(PACKETS, max_size=30))
@settings(max_examples=150, deadline=None)
def test_whatever_comes_there_is_a_step_of_sound(
    packets: list[tuple[AudioReceived, float]],
) -> None:
    ear = Hearing(ALL, 16_000)
    now = 0.0
    for packet, pause in packets:
        now += pause
        ear.handle(packet, now)
        assert len(ear.take(now).pcm) == 640
        assert len(ear._sound) <= 3840 + 640
        ear.handle_timeout(now)
