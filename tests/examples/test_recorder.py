"""The recorder, as its user starts it: a caller's tone is on the left, its own beep on the right."""

from __future__ import annotations

import wave
from array import array
from pathlib import Path
from typing import Final

import pytest
import trio

from tests.support.appliance import TREE, running_appliance
from tests.support.live_calls import live_calls
from tests.support.services import configured, service, there
from tests.support.short_path import short_directory as short_directory
from tests.support.sound import loudness, strength, tone
from workers.transceiver.backends.offer import PATIENCE

pytestmark = pytest.mark.process
RATE: Final = 16_000
PITCH: Final = 440.0
BEEP: Final = 880.0
BEEP_SECONDS: Final = 0.4


def write_tone(path: Path) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(tone(RATE, 1.0, PITCH))
    return path


def read_stereo(path: Path) -> tuple[array[int], array[int]]:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, RATE)
        both = array("h", file.readframes(file.getnframes()))
    return both[::2], both[1::2]


def is_whole(path: Path) -> bool:
    """All that its head says is there."""
    try:
        with wave.open(str(path)) as file:
            frames = int(file.getnframes())
        return frames > 0 and path.stat().st_size == 44 + 4 * frames
    except (wave.Error, EOFError):
        return False


def sounding(samples: array[int]) -> list[int]:
    """The 20 ms frames in which there is sound."""
    step = RATE // 50
    return [
        at // step
        for at in range(0, len(samples) - step + 1, step)
        if loudness(samples[at : at + step].tobytes()) > 500
    ]


async def test_left_is_the_caller_right_is_what_was_heard(
    tmp_path: Path, short_directory: Path
) -> None:
    endpoint, recordings = f"ipc://{short_directory}/a.sock", tmp_path / "recordings"
    recordings.mkdir()
    async with (
        service(TREE / "examples" / "recorder.py", endpoint, str(recordings)),
        running_appliance(tmp_path, configured(endpoint)) as appliance,
    ):
        await there(appliance)
        options = ["--wav", str(write_tone(tmp_path / "tone.wav"))]
        async with live_calls(appliance, 3.0, count=1, options=options) as calls:
            pass
        with trio.fail_after(60):
            while not (found := list(recordings.glob("*.wav"))) or not is_whole(found[0]):
                await trio.sleep(0.05)
    assert len(found) == 1
    left, right = read_stereo(found[0])
    # All that was said, and then the two seconds in which the caller waits for it to come back, which a
    # recorder does not say; who is late to hang up is recorded for longer.
    assert calls.report["packets_sent"] / 50 - 0.5 < len(left) / RATE
    middle = slice(len(left) // 2, len(left) // 2 + RATE // 2)
    assert strength(left[middle].tobytes(), RATE, PITCH) > 0.9
    beeps = sounding(right)
    # Whole, in one piece, soon after the beginning; 20 ms at an end are the report's grain.
    assert beeps == list(range(beeps[0], beeps[-1] + 1))
    assert abs(len(beeps) / 50 - BEEP_SECONDS) <= 0.04
    assert beeps[-1] / 50 < PATIENCE + BEEP_SECONDS + 1.0
    heard = right[beeps[0] * RATE // 50 : beeps[-1] * RATE // 50]
    assert strength(heard.tobytes(), RATE, BEEP) > 0.9
