"""What a back end writes on its data channel is read on the demo page, which speaks of that back end."""

from __future__ import annotations

import json
from pathlib import Path

import trio
from playwright.sync_api import expect

from ipc.backend.call import Call
from ipc.backend.serve import run
from tests.interop.test_chromium import LIVE, WITHIN, open_page, pytestmark
from tests.support.appliance import running_appliance
from tests.support.peers import chromium, reachable
from tests.support.services import configured, there
from tests.support.short_path import short_directory as short_directory

__all__ = ["pytestmark"]
WRITTEN = (
    json.dumps({"heard": "tell me a story", "answer": "Once upon a time."}),
    json.dumps({"interrupted": "Once upon a time."}),
    json.dumps({"type": "response.output_audio_transcript.done", "transcript": "And so on."}),
    json.dumps({"type": "session.updated", "session": {}}),
    "<b>plain</b>",
    "null",
)
READ = [
    ("you", "tell me a story"),
    ("them cut", "Once upon a time."),
    ("them", "And so on."),
    ("them", "<b>plain</b>"),
    ("them", "null"),
]


async def scribe(call: Call) -> None:
    """Writes all of it, and stays."""
    await call.channel("chat")
    for message in WRITTEN:
        call.send(message)
    await call.until_ended()


def read(url: str, directory: Path) -> None:
    """A person in front of the page."""
    with chromium(directory, viewport={"width": 390, "height": 844}) as context:
        page, errors = open_page(context, url)
        expect(page.locator("#detail")).to_contain_text("\u201cagent\u201d answers")
        page.click("#start")
        page.wait_for_selector(LIVE, timeout=WITHIN)
        lines = page.locator("#transcript li")
        expect(lines).to_have_count(len(READ), timeout=WITHIN)
        script = "lines => lines.map(line => [line.className, line.textContent])"
        assert [tuple(pair) for pair in lines.evaluate_all(script)] == READ
        page.screenshot(path=directory / "transcript.png", full_page=True)
        page.click("#hang-up")
        expect(lines).to_have_count(len(READ))
        assert errors == []


async def test_a_transcript_is_read_on_the_page(tmp_path: Path, short_directory: Path) -> None:
    endpoint = f"ipc://{short_directory}/a.sock"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, endpoint, scribe)
        async with running_appliance(tmp_path, reachable() | configured(endpoint)) as appliance:
            await there(appliance)
            await trio.to_thread.run_sync(read, appliance.url, tmp_path)
        nursery.cancel_scope.cancel()
