"""A spoken dialogue in Chromium with the voice agent: two turns, the second one an interruption."""

from __future__ import annotations

import json
import subprocess
import tomllib
import wave
from array import array
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import trio

from examples import voice_agent
from tests.support.appliance import TREE, running_appliance
from tests.support.interop import shows
from tests.support.peers import chromium, reachable
from tests.support.services import service, there
from tests.support.short_path import short_directory as short_directory

pytestmark = pytest.mark.interop

PAGE: Final = Path(__file__).with_name("voice_agent_page.js")
RATE: Final = 22_050
"""Of espeak-ng."""
LOUD: Final = 0.003
"""Root mean square from which there is sound, of 1."""
GAP: Final = 0.6
"""Seconds of silence that end an utterance: sentences of the agent are nearer to each other."""
SAID: Final = ("tell me a story", "what is your name")
STORY_SECONDS: Final = 10.0
"""The story is longer."""


class Stretch(NamedTuple):
    """Sound without a pause, in seconds of the page's audio clock."""

    begin: float
    end: float


def write_dialogue(path: Path, pauses: tuple[float, ...]) -> Path:
    """What the caller says, by espeak-ng, with so much silence before each sentence and at the end."""
    samples = array("h")
    for sentence, pause in zip((*SAID, ""), pauses, strict=True):
        samples.extend([0] * int(pause * RATE))
        if sentence:
            command = ["espeak-ng", "-v", "en-us", "-s", "130", "--stdout", sentence]
            samples.frombytes(subprocess.check_output(command)[44:])
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return path


def stretches(levels: list[list[float]], column: int) -> list[Stretch]:
    """When there was sound."""
    found: list[Stretch] = []
    for at, *loudness in levels:
        if loudness[column] < LOUD:
            continue
        if found and at - found[-1].end < GAP:
            found[-1] = Stretch(found[-1].begin, at)
        else:
            found.append(Stretch(at, at))
    return [each for each in found if each.end - each.begin > 0.1]


def converse(url: str, directory: Path, dialogue: Path) -> dict[str, Any]:
    """The page's report."""
    with chromium(directory, voice=f"{dialogue}%noloop") as context:
        page = context.new_page()
        page.goto(url)
        page.mouse.click(5, 5)  # sound needs a gesture
        report: dict[str, Any] = page.evaluate(PAGE.read_text(), {"seconds": 18})
        return report


@shows("Chromium", "a spoken dialogue, interrupted")
async def test_two_turns_and_an_interruption(tmp_path: Path, short_directory: Path) -> None:
    endpoint = f"ipc://{short_directory}/a.sock"
    dialogue = write_dialogue(tmp_path / "dialogue.wav", (3.0, 5.0, 8.0))
    # As `make demo-agent` has it, at another end point.
    overrides = tomllib.loads((TREE / "examples" / "agent.toml").read_text())
    assert overrides["backends"]["endpoints"] == {"agent": [voice_agent.ENDPOINT]}
    overrides["backends"]["endpoints"] = {"agent": [endpoint]}
    async with (
        service(TREE / "examples" / "voice_agent.py", endpoint),
        running_appliance(tmp_path, reachable() | overrides) as appliance,
    ):
        await there(appliance)
        report = await trio.to_thread.run_sync(partial(converse, appliance.url, tmp_path, dialogue))
    (tmp_path / "report.json").write_text(json.dumps(report))
    lines = report["lines"]
    told = [(line["heard"], line["answer"]) for line in lines if line.get("heard")]
    assert [heard for heard, _ in told] == [*SAID], lines
    story, name = (answer for _, answer in told)
    assert "packet" in story
    assert name == "My name is Tandem."
    interrupted = [line["interrupted"] for line in lines if "interrupted" in line]
    assert interrupted[-1:] == [story], "nobody let the story end"

    asked = stretches(report["levels"], 0)
    heard = [each for each in stretches(report["levels"], 1) if each.end > asked[0].end]
    assert len(asked) == len(SAID), asked
    assert len(heard) == len(SAID), (asked, heard)
    told_story, told_name = heard
    assert told_story.begin < asked[1].begin < told_story.end, "it was interrupted"
    assert told_story.end - told_story.begin < STORY_SECONDS
    assert told_story.end < asked[1].end, "it was quiet before the caller was"
    print(
        f"end of speech to answer {told_story.begin - asked[0].end:.3f} s and"
        f" {told_name.begin - asked[1].end:.3f} s; speech to silence"
        f" {told_story.end - asked[1].begin:.3f} s"
    )
