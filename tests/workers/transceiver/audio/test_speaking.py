"""Packets of speech: timestamps by the clock, markers after gaps, keys in between."""

from __future__ import annotations

import pytest

from tests.support.sound import frames, tone
from workers.transceiver.audio.speaking import Speaking
from workers.transceiver.core.streams.interface import Codec, SendAudio
from workers.wire.opus import parse_opus_duration
from workers.wire.telephone_event import parse_telephone_event

OPUS = Codec("opus", 111, 48_000, 2)
PCMA = Codec("pcma", 8, 8_000)
KEYS = (Codec("telephone-event", 126, 8_000), Codec("telephone-event", 110, 48_000))
SOUND = frames(tone(16_000, 0.4), 16_000)


def zeros(length: int) -> bytes:
    return bytes(length)


def speaking(*codecs: Codec, packet_time: int = 20) -> Speaking:
    return Speaking(codecs or (OPUS,), 16_000, zeros, packet_time=packet_time)


def timestamps(sent: list[SendAudio]) -> list[int]:
    return [one.timestamp for one in sent]


def test_a_packet_each_step() -> None:
    mouth = speaking()
    sent = [one for pcm in SOUND[:5] for one in mouth.step(pcm)]
    assert timestamps(sent) == [0, 960, 1920, 2880, 3840]
    assert [one.marker for one in sent] == [True, False, False, False, False]
    assert {one.payload_type for one in sent} == {111}


def test_the_first_timestamp_is_chance_and_wraps() -> None:
    mouth = Speaking((PCMA,), 16_000, lambda n: b"\xff" * n)
    sent = mouth.step(SOUND[0]) + mouth.step(SOUND[1])
    assert timestamps(sent) == [0xFFFFFFFF, 159]


def test_silence_is_a_gap_that_the_next_packet_marks() -> None:
    mouth = speaking()
    mouth.step(SOUND[0])
    for _ in range(50):
        assert mouth.step(b"") == []
    (after,) = mouth.step(SOUND[1])
    assert (after.timestamp, after.marker) == (51 * 960, True)


def test_discontinuous_transmission_is_such_a_gap() -> None:
    mouth = speaking(Codec("opus", 111, 48_000, 2, "usedtx=1"))
    sent = [one for _ in range(100) for one in mouth.step(bytes(640))]
    assert len(sent) < 60
    steps = [b - a for a, b in zip(timestamps(sent), timestamps(sent)[1:], strict=False)]
    assert max(steps) > 10 * 960
    assert all(step % 960 == 0 for step in steps)
    assert [one.marker for one in sent][1:] == [step > 960 for step in steps]


@pytest.mark.parametrize("packet_time", [10, 20, 40, 60])
def test_packets_play_as_long_as_was_asked_for(packet_time: int) -> None:
    mouth = speaking(packet_time=packet_time)
    sent = [one for pcm in SOUND[:12] for one in mouth.step(pcm)]
    assert timestamps(sent) == [n * 48 * packet_time for n in range(240 // packet_time)]
    assert {parse_opus_duration(one.payload) for one in sent} == {48 * packet_time}


def test_a_begun_packet_is_filled_up_before_silence() -> None:
    mouth = speaking(packet_time=60)
    assert mouth.step(SOUND[0]) == []
    (sent,) = mouth.step(b"")
    assert sent.timestamp == 0
    assert parse_opus_duration(sent.payload) == 2880


def test_a_length_that_no_packet_has_is_our_own_mistake() -> None:
    with pytest.raises(ValueError, match="30 ms"):
        speaking(packet_time=30)


def test_keys_are_pressed_in_the_audios_clock() -> None:
    mouth = speaking(OPUS, *KEYS)
    mouth.step(SOUND[0])
    assert mouth.press("5")
    sent = [one for pcm in SOUND[1:16] for one in mouth.step(pcm)]
    keys = [one for one in sent if one.payload_type == 110]
    reports = [parse_telephone_event(one.payload) for one in keys]
    assert {one.timestamp for one in keys} == {960}
    assert [report.duration for report in reports] == [960, 1920, 2880, 3840, 4800, 4800, 4800]
    # Audio waits for the key, its timestamps for nobody.
    after = [one for one in sent if one.payload_type == 111]
    assert after[0].marker
    assert timestamps(after) == [960 * (16 - len(after) + n) for n in range(len(after))]


def test_keys_in_another_clock_still_last_as_long() -> None:
    mouth = speaking(OPUS, KEYS[0])
    mouth.press("5", 0.2)
    sent = [one for _ in range(20) for one in mouth.step(b"")]
    assert parse_telephone_event(sent[-1].payload).duration == 1600
    assert {one.payload_type for one in sent} == {126}


def test_who_knows_no_keys_gets_none() -> None:
    assert not speaking().press("5")


def test_loss_may_be_reported_of_any_codec() -> None:
    for codec in (OPUS, PCMA):
        speaking(codec).expect_loss(0.1)
