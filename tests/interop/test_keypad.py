"""A key that is pressed in Chromium (RFC 4733) changes what the announcer plays."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from examples import announcer
from tests.support.appliance import TREE, running_appliance
from tests.support.interop import shows
from tests.support.peers import chromium, reachable
from tests.support.services import configured, service, there
from tests.support.short_path import short_directory as short_directory

pytestmark = pytest.mark.interop

PAGE: Final = Path(__file__).with_name("keypad_page.js")
WELCOME: Final = 880.0
"""Hertz; the second note of the announcer's own greeting."""
FILE: Final = 1500.0
"""What is played for the key, and for no other."""
NEAR: Final = 30.0


def write_tone(path: Path) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(announcer.RATE)
        file.writeframes(announcer.tone(FILE, 3.0))
    return path


def press(url: str, directory: Path) -> dict[str, Any]:
    """The page's report."""
    with chromium(directory) as context:
        page = context.new_page()
        page.goto(url)
        page.mouse.click(5, 5)  # sound needs a gesture
        argument = {"digit": "5", "welcome": WELCOME, "file": FILE, "seconds": 60}
        report: dict[str, Any] = page.evaluate(PAGE.read_text(), argument)
        return report


@shows("Chromium", "keys pressed (RFC 4733)")
async def test_a_key_plays_its_file(tmp_path: Path, short_directory: Path) -> None:
    endpoint, sound = f"ipc://{short_directory}/a.sock", write_tone(tmp_path / "five.wav")
    async with (
        service(TREE / "examples" / "announcer.py", endpoint, f"5={sound}"),
        running_appliance(tmp_path, reachable() | configured(endpoint)) as appliance,
    ):
        await there(appliance)
        report = await trio.to_thread.run_sync(press, appliance.url, tmp_path)
    assert report["takesKeys"]
    assert any(abs(pitch - WELCOME) < NEAR for pitch in report["before"]), report
    assert not any(abs(pitch - FILE) < NEAR for pitch in report["before"]), report
    assert any(abs(pitch - FILE) < NEAR for pitch in report["after"]), report
