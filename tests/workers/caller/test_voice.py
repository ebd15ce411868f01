"""What a call says in Python; its other voice is tested with the trunk."""

from __future__ import annotations

import math

from tests.support.media import OPUS
from workers.caller.source import SilentOpus
from workers.caller.voice import Speaker
from workers.transceiver.core.interface import AudioReceived, SendAudio

FIRST = 2**32 - 960


def speaker(frames: int = 3) -> Speaker:
    return Speaker(SilentOpus(1), OPUS, frames=frames, first_timestamp=FIRST)


def back(frame: SendAudio | None) -> AudioReceived:
    assert frame is not None
    return AudioReceived(frame.payload, frame.payload_type, 0, frame.timestamp, False, 1)


def test_frames_are_numbered_and_their_timestamps_wrap() -> None:
    voice = speaker()
    voice.begin(0.0)
    assert voice.due == -math.inf
    frames = [voice.frame(0.02 * index) for index in range(3)]
    assert voice.over
    assert [frame.timestamp for frame in frames if frame] == [FIRST, 0, 960]
    assert [frame.marker for frame in frames if frame] == [True, False, False]
    for index, frame in enumerate(frames):
        voice.came(back(frame), 0.02 * index + 0.01)
    figures = voice.figures
    assert (figures.sent, figures.received, figures.first_sent, figures.last_back) == (
        3,
        3,
        0.0,
        0.05,
    )
    assert voice.round_trips.count == 3


def test_what_others_said_is_foreign() -> None:
    voice = speaker()
    voice.frame(0.0)
    voice.came(AudioReceived(b"else", 111, 0, FIRST, False, 1), 0.1)
    voice.came(back(Speaker(SilentOpus(2), OPUS, frames=1, first_timestamp=FIRST).frame(0.0)), 0.1)
    assert (voice.figures.received, voice.figures.foreign) == (0, 2)


def test_it_stops_where_it_is() -> None:
    voice = speaker()
    voice.frame(0.0)
    assert not voice.over
    voice.stop()
    assert [voice.over] == [True]
    assert voice.figures.outstanding == 1


def test_silence_lasts_as_long() -> None:
    voice = Speaker(None, None, frames=2, first_timestamp=0)
    assert [voice.frame(0.0), voice.over, voice.frame(0.02), voice.over] == [
        None,
        False,
        None,
        True,
    ]
    voice.came(AudioReceived(b"", 0, 0, 0, False, 0), 0.0)
    assert (voice.figures.sent, voice.figures.foreign) == (0, 0)
