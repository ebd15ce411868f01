"""The page of docs/client.md as it stands there: of another origin, with a client secret, in Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
import trio

from ipc.messages.stats import TransceiverStats
from tests.interop.test_chromium import of
from tests.support.access import KEY, line
from tests.support.appliance import TREE, running_appliance
from tests.support.peers import chromium, reachable

pytestmark = pytest.mark.interop

USE = """async ({ calls, secret }) => {
  const until = async (what, condition) => {
    for (let n = 0; n < 600; n++) {
      if (await condition()) return;
      await new Promise((done) => setTimeout(done, 100));
    }
    throw new Error(what);
  };
  const devices = navigator.mediaDevices, open = devices.getUserMedia.bind(devices), opened = [];
  devices.getUserMedia = async (wish) => opened[opened.push(await open(wish)) - 1];
  const page = await import(calls);
  const refused = await page.call().then(() => "", (error) => error.message);
  const still = opened.flatMap((stream) => stream.getTracks())
    .filter((track) => track.readyState === "live").length;
  const call = await page.call(secret);
  const heard = [];
  call.channel.onmessage = ({ data }) => heard.push(data);
  await until("channel", () => call.channel.readyState === "open");
  call.channel.send("one");
  await until("echo", () => heard.length === 1);
  const received = async () => [...(await call.peer.getStats()).values()]
    .find((report) => report.type === "inbound-rtp")?.packetsReceived ?? 0;
  await until("audio", async () => await received() > 50);
  const pair = async () => [...(await call.peer.getStats()).values()]
    .find((report) => report.type === "transport").selectedCandidatePairId;
  const before = await pair();
  await page.restart(call);
  await until("new pair", async () => await pair() !== before);
  call.channel.send("two");
  await until("echo after the restart", () => heard.length === 2);
  await page.hangUp(call);
  return { refused, still, heard, playing: document.getElementById("audio").srcObject !== null };
}"""


def blocks(language: str) -> str:
    """What docs/client.md has in that language."""
    page = (TREE / "docs" / "client.md").read_text()
    return "".join(re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))


@contextmanager
def serving(directory: Path) -> Iterator[str]:
    """A web server that is not Tandem's."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(directory))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def use(site: str, directory: Path, secret: str) -> dict[str, Any]:
    """A person who calls, restarts and hangs up."""
    with chromium(directory) as context:
        page = context.new_page()
        page.goto(f"{site}/")
        argument = {"calls": f"{site}/call.js", "secret": secret}
        used: dict[str, Any] = page.evaluate(USE, argument)
        return used


async def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text(blocks("html"))
    keys = tmp_path / "api-keys.toml"
    keys.write_text(line("shop", KEY))
    with serving(site) as origin:
        signaling = {"api_keys": str(keys), "cors_origins": [origin]}
        overrides = reachable() | {"signaling": signaling}
        async with running_appliance(tmp_path, overrides) as appliance:
            script = blocks("js").replace("http://127.0.0.1:8080", appliance.url)
            (site / "call.js").write_text(script)
            async with httpx.AsyncClient() as client:
                made = await client.post(
                    f"{appliance.url}/v1/realtime/client_secrets",
                    headers={"Authorization": f"Bearer {KEY}"},
                    json={"single_use": True, "metadata": {"user": "alice"}},
                )
            secret = made.json()["value"]
            used = await trio.to_thread.run_sync(use, origin, tmp_path, secret)
            assert used["refused"].startswith("send Authorization: Bearer")
            assert used["still"] == 0
            assert used["heard"] == ["one", "two"]
            assert used["playing"]
            await appliance.until(
                lambda status: (
                    set(of(TransceiverStats, status).closed) <= {"hangup", "peer_closed"}
                    and sum(of(TransceiverStats, status).closed.values()) == 1
                )
            )
