"""A browser, the whole appliance, and a Realtime server that holds it to the official types."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support.appliance import TREE, running_appliance
from tests.support.interop import shows
from tests.support.peers import chromium, reachable
from tests.support.realtime_server import RealtimeServer, realtime_server
from tests.support.services import offer
from tests.support.sound import strength, tone

pytestmark = pytest.mark.interop
PAGE = TREE / "tests/interop/realtime_page.js"
RATE = 24_000


def bridged(server: RealtimeServer, directory: Path) -> dict[str, dict[str, Any]]:
    """Overrides: all calls go to that server, with a key."""
    key = directory / "key"
    key.write_text("secret\n")
    realtime = {"url": server.url, "api_key_file": str(key)}
    return {**reachable(), "realtime": realtime, "backends": {"default": "realtime"}}


def browse(url: str, directory: Path, argument: dict[str, Any]) -> dict[str, Any]:
    with chromium(directory) as context:
        page = context.new_page()
        page.goto(url)
        page.mouse.click(5, 5)  # sound needs a gesture
        result: dict[str, Any] = page.evaluate(PAGE.read_text(), argument)
        return result


@shows("Chromium", "Realtime calls")
async def test_a_browser_talks_to_a_realtime_server(tmp_path: Path) -> None:
    session = {"type": "realtime", "model": "m", "instructions": "Be kind."}
    found: dict[str, Any] = {}

    async def call() -> None:
        argument = {"pitch": 700, "session": session}
        found.update(await trio.to_thread.run_sync(browse, appliance.url, tmp_path, argument))

    async with (
        realtime_server() as server,
        running_appliance(tmp_path, bridged(server, tmp_path)) as appliance,
    ):
        assert (await appliance.worker("realtime-0")).state == "ready"
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(call)
                line = await server.line()
                assert line.authorization == "Bearer secret"
                assert line.target.endswith("?model=m")
                created = await line.until("response.create")
                assert created["event_id"] == "mine"
                await line.answer(tone(RATE, 20.0, 440.0))
                await line.until("response.cancel")
                truncate = await line.until("conversation.item.truncate")
        assert not server.problems
        assert "Traceback" not in appliance.log()
    assert found["instructions"] == "Be kind."
    heard = bytes(line.heard)[-RATE * 2 :]
    assert strength(heard, RATE, 700.0) > 0.8
    assert len([peak for peak in found["peaks"] if abs(peak - 440) < 20]) >= 4, found
    played = truncate["audio_end_ms"]
    assert found["lost"] == 0, found
    assert abs(played - 20 * found["received"]) <= 20, (played, found)
    assert "output_audio_buffer.cleared" in found["types"]


SDK = TREE / "build/realtime-sdk/node_modules/@openai/agents-realtime/dist/bundle"
CALL = """
async ({ pitch }) => {
  const { OpenAIRealtimeWebRTC, RealtimeAgent, RealtimeSession } =
    await import("/sdk/openai-realtime-agents.mjs");
  const audio = new AudioContext({ sampleRate: 48000 });
  await audio.resume();
  const tone = new OscillatorNode(audio, { frequency: pitch });
  const microphone = audio.createMediaStreamDestination();
  tone.connect(microphone);
  tone.start();
  const transport = new OpenAIRealtimeWebRTC({
    baseUrl: new URL("/v1/realtime/calls", location).href, mediaStream: microphone.stream,
  });
  const agent = new RealtimeAgent({ name: "Tandem", instructions: "Be kind." });
  const session = new RealtimeSession(agent, { transport, model: "m" });
  const types = [];
  const waiting = [];
  transport.on("*", (event) => { types.push(event.type); waiting.splice(0).forEach((wake) => wake()); });
  const until = async (type) => {
    while (!types.includes(type)) await new Promise((wake) => waiting.push(wake));
  };
  await session.connect({ apiKey: "ek_nobody_asks_for_it" });
  const connected = transport.status;
  await until("session.updated");
  session.sendMessage("Hello.");
  await until("output_audio_buffer.started");
  await new Promise((done) => setTimeout(done, 1000));
  session.interrupt();
  await until("output_audio_buffer.cleared");
  session.close();
  return { connected, types };
}
"""


@shows("Chromium", "JavaScript SDK of the Realtime API")
@pytest.mark.skipif(not SDK.exists(), reason="the official JavaScript SDK is not installed")
async def test_the_official_javascript_sdk(tmp_path: Path) -> None:
    found: dict[str, Any] = {}

    def browse() -> dict[str, Any]:
        with chromium(tmp_path) as context:
            page = context.new_page()
            page.route(
                "**/sdk/*",
                lambda route: route.fulfill(
                    path=SDK / route.request.url.rpartition("/")[2], content_type="text/javascript"
                ),
            )
            page.goto(appliance.url)
            page.mouse.click(5, 5)  # sound needs a gesture
            result: dict[str, Any] = page.evaluate(CALL, {"pitch": 700})
            return result

    async def call() -> None:
        found.update(await trio.to_thread.run_sync(browse))

    async with (
        realtime_server() as server,
        running_appliance(tmp_path, bridged(server, tmp_path)) as appliance,
    ):
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(call)
                line = await server.line()
                update = await line.until("session.update")
                assert update["session"]["instructions"] == "Be kind."
                said = await line.until("conversation.item.create")
                assert said["item"]["content"][0]["text"] == "Hello."
                await line.until("response.create")
                await line.answer(tone(RATE, 20.0, 440.0), end=False)
                await line.until("response.cancel")
                truncate = await line.until("conversation.item.truncate")
        assert not server.problems
        assert "Traceback" not in appliance.log()
    assert found["connected"] == "connected"
    assert 500 <= truncate["audio_end_ms"] <= 10_000
    assert "output_audio_buffer.cleared" in found["types"]


async def test_calls_end_with_their_server_and_are_refused_with_a_reason(tmp_path: Path) -> None:
    async with (
        realtime_server() as server,
        running_appliance(tmp_path, bridged(server, tmp_path)) as appliance,
    ):
        with trio.fail_after(60):
            while (await offer(appliance)).status_code != 201:
                await trio.sleep(0.05)
        server.status = 503
        command = [sys.executable, "-m", "appliance.cli.main", "call", "--seconds", "3"]
        url = f"{appliance.url}/v1/realtime/calls"
        with trio.fail_after(60):
            await trio.run_process([*command, url], capture_stdout=True, check=False, cwd=TREE)
        status = await appliance.until(
            lambda status: any(
                getattr(w.stats, "failed", {}).get("upstream_refused") for w in status.workers
            )
        )
        assert status.state == "ready"
        assert "Traceback" not in appliance.log()
