"""Data channels of other stacks against a whole appliance: what is sent comes back."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from bench.datachannel import SIZE, losing, transfer
from bench.delay import delayed
from bench.setup import reachable as own_address
from tests.support.appliance import TREE, free_udp_port, running_appliance
from tests.support.interop import shows
from tests.support.peers import chromium, reachable

pytestmark = pytest.mark.interop

PEER = "tests.interop.aiortc_data_peer"

CALL = """
async ({ size, chunk }) => {
  const peer = new RTCPeerConnection();
  const media = await navigator.mediaDevices.getUserMedia({ audio: true });
  media.getTracks().forEach((track) => peer.addTrack(track, media));
  const channel = peer.createDataChannel("chat", { protocol: "v1" });
  channel.binaryType = "arraybuffer";
  const loose = peer.createDataChannel("loose", { ordered: false, maxRetransmits: 2 });
  const within = (promise, what) => Promise.race([promise, new Promise((_, fail) =>
    setTimeout(() => fail(new Error(what)), 60000))]);
  const began = performance.now();
  await peer.setLocalDescription();
  const answer = await fetch("/whip/echo",
    { method: "POST", headers: { "Content-Type": "application/sdp" }, body: peer.localDescription.sdp });
  await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
  const answered = performance.now();
  await within(new Promise((done) => { channel.onopen = done; }), "open");
  const opened = performance.now();
  if (loose.readyState !== "open") await within(new Promise((d) => { loose.onopen = d; }), "loose");

  const heard = [];
  let enough = () => {};
  channel.onmessage = (event) => { heard.push(event.data); enough(); };
  const until = (count) => within(new Promise((done) => {
    enough = () => { if (heard.length >= count) done(); };
    enough();
  }), `${heard.length} of ${count} messages`);
  channel.send("héllo");
  channel.send("");
  channel.send(new Uint8Array([0, 255, 1]));
  await until(3);
  const small = [heard[0], heard[1], ...new Uint8Array(heard[2])];

  const looseHeard = new Promise((done) => { loose.onmessage = (event) => done(event.data); });
  loose.send("quick");
  const quick = await within(looseHeard, "loose echo");

  heard.length = 0;
  const count = size / chunk;
  const transfer = performance.now();
  channel.bufferedAmountLowThreshold = 1 << 20;
  for (let n = 0; n < count; n++) {
    const piece = new Uint8Array(chunk);
    for (let i = 0; i < chunk; i += 4096) piece[i] = (n * 31 + i / 4096) & 255;
    piece[0] = n & 255;
    if (channel.bufferedAmount > (4 << 20)) {
      await within(new Promise((done) => { channel.onbufferedamountlow = done; }), "drain");
    }
    channel.send(piece);
  }
  await until(count);
  const took = performance.now() - transfer;
  let wrong = 0;
  heard.forEach((data, n) => {
    const piece = new Uint8Array(data);
    let good = piece.length === chunk && piece[0] === (n & 255);
    for (let i = 4096; i < chunk && good; i += 4096) good = piece[i] === ((n * 31 + i / 4096) & 255);
    if (!good) wrong++;
  });
  channel.close();
  await within(new Promise((done) => { channel.onclose = done; }), "close");
  const again = peer.createDataChannel("again");
  await within(new Promise((done) => { again.onopen = done; }), "again");
  const state = peer.connectionState;
  peer.close();
  return { small, quick, wrong, state, took, open: opened - answered, count: heard.length };
}
"""


@shows("aiortc", "data channel")
async def test_aiortc(tmp_path: Path) -> None:
    async with running_appliance(tmp_path, reachable()) as appliance:
        with trio.fail_after(60):
            done = await trio.run_process(
                [sys.executable, "-m", PEER, appliance.url, "/whip/echo"],
                cwd=TREE,
                capture_stdout=True,
                capture_stderr=True,
                check=False,
            )
        assert done.returncode == 0, done.stderr.decode()
        assert json.loads(done.stdout) == {"same": True, "state": "closed"}


def exchange(url: str, directory: Path, result: dict[str, Any]) -> None:
    """One call with messages small and large."""
    with chromium(directory) as context:
        page = context.new_page()
        page.goto(url)
        result.update(page.evaluate(CALL, {"size": 10 << 20, "chunk": 1 << 16}))


@shows("Chromium", "data channel")
async def test_chromium(tmp_path: Path) -> None:
    result: dict[str, Any] = {}
    async with running_appliance(tmp_path, reachable()) as appliance:
        await trio.to_thread.run_sync(partial(exchange, appliance.url, tmp_path, result))
    assert result["small"] == ["héllo", "", 0, 255, 1]
    assert result["quick"] == "quick"
    assert result["wrong"] == 0
    assert result["count"] == 160
    assert result["state"] == "connected"


def lossy_transfer(url: str, directory: Path, result: dict[str, Any]) -> None:
    """10 MB there and back; compares the digests."""
    with chromium(directory) as context:
        page = context.new_page()
        page.goto(f"{url}/healthz")
        result.update(transfer(page))


@shows("Chromium", "data channel through 5 % loss")
async def test_chromium_with_a_twentieth_lost_each_way(tmp_path: Path) -> None:
    """The round trip is 4 ms: under random loss the time a transfer takes is a multiple of it."""
    port = free_udp_port()
    result: dict[str, Any] = {}
    fate = losing(0.05, seed=7)
    with delayed(("127.0.0.1", port), 0.002, own_address(), fate) as proxy:
        relay = {"listen": [f"127.0.0.1:{port}"], "advertise": ["{}:{}".format(*proxy.address)]}
        async with running_appliance(tmp_path, {"relay": relay}) as appliance:
            await trio.to_thread.run_sync(lossy_transfer, appliance.url, tmp_path, result)
    assert result["sent"] == result["back"]
    assert result["heard"] == SIZE
