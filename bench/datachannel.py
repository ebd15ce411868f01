"""How fast a data channel is when the network loses packets: 10 MB to the echo and back, headless Chromium.

    python -m bench.datachannel [--quick] [--json]        quick: once each, 4 MB

A real appliance (`tandem run`) behind a proxy (bench/delay.py) that makes a round trip of 20 ms and loses
datagrams of either direction by a seeded dice. The page sends random messages of 16 KB on an ordered,
reliable channel and compares the SHA-256 of what it sent with that of what came back. A figure is the
median of its transfers.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from typing import Any, Final

from playwright.sync_api import Page, sync_playwright

from bench.appliance import Appliance, free_port, running
from bench.browser import CHROMIUM
from bench.delay import Fate, delayed
from bench.figures import machine, show
from bench.setup import FLAGS, page_of, reachable
from bench.usage import process_cpu
from ipc.messages.stats import TransceiverStats

ONE_WAY: Final = 0.01
SIZE: Final = 10_000_000
QUICK_SIZE: Final = 4_000_000
CHUNK: Final = 16_384
LOSSES: Final = (0, 1, 5)
"""Percent, each way."""
MB: Final = 1_000_000
_CHUNK_OF_OURS: Final = 1132
"""Bytes of a message in a full packet."""
_PUBLISHED: Final = 1.5
"""Seconds after which statistics have been published once more."""

TRANSFER: Final = """
async ({ path, size, chunk, timeout }) => {
  const within = (what, start) => new Promise((done, failed) => {
    setTimeout(() => failed(new Error(`no ${what}`)), timeout);
    start(done, failed);
  });
  const digest = async (bytes) => Array.from(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)),
    (byte) => byte.toString(16).padStart(2, "0")).join("");
  const peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  const microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
  for (const track of microphone.getTracks()) peer.addTrack(track, microphone);
  const channel = peer.createDataChannel("bulk");
  channel.binaryType = "arraybuffer";
  await peer.setLocalDescription();
  const response = await fetch(path, {
    method: "POST", headers: { "Content-Type": "application/sdp" }, body: peer.localDescription.sdp });
  const sdp = await response.text();
  if (response.status !== 201) throw new Error(sdp);
  await peer.setRemoteDescription({ type: "answer", sdp });
  await within("channel", (done) => { channel.onopen = done; });

  const sent = new Uint8Array(size), back = new Uint8Array(size);
  for (let at = 0; at < size; at += 65536) crypto.getRandomValues(sent.subarray(at, at + 65536));
  let heard = 0, messages = 0, all = () => {};
  channel.onmessage = ({ data }) => {
    messages += 1;
    if (heard + data.byteLength <= size) back.set(new Uint8Array(data), heard);
    heard += data.byteLength;
    if (heard >= size) all();
  };
  channel.bufferedAmountLowThreshold = 1 << 18;
  const began = performance.now();
  const echoed = within("end of the echo", (done, failed) => {
    all = () => done(performance.now() - began);
    channel.onclose = () => failed(new Error(`closed after ${heard} bytes`));
  });
  echoed.catch(() => {});
  for (let at = 0; at < size; at += chunk) {
    if (channel.bufferedAmount > 1 << 20) {
      await within("drain", (done) => { channel.onbufferedamountlow = done; });
    }
    channel.send(sent.subarray(at, at + chunk));
  }
  const seconds = await echoed / 1000;
  const result = { seconds, heard, messages, sent: await digest(sent), back: await digest(back) };
  await fetch(response.headers.get("Location"), { method: "DELETE" });
  peer.close();
  return result;
}
"""
"""Sends `size` random bytes to the echo at `path`, waits `timeout` milliseconds for all to come back."""


def losing(share: float, seed: int) -> Fate:
    """Every datagram, of either direction, is lost with that probability."""
    dice = random.Random(seed)
    return lambda _to, _datagram: dice.random() >= share


def transfer(page: Page, size: int = SIZE, timeout: float = 120.0) -> dict[str, Any]:
    """One call and one transfer; raises if it was not intact."""
    options = {"path": "/whip/echo", "size": size, "chunk": CHUNK, "timeout": timeout * 1000}
    result: dict[str, Any] = page.evaluate(TRANSFER, options)
    if result["sent"] != result["back"]:
        raise AssertionError(f"what came back is not what was sent: {result}")
    return result


def measure(appliance: Appliance, times: int, size: int) -> dict[str, float]:
    """Of so many transfers of `size`: median speed and CPU of the transceiver, and the share sent again."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            page = browser.new_context(permissions=["microphone"]).new_page()
            page.goto(f"{page_of(appliance)}/healthz")
            took, busy = [], []
            for _ in range(times):
                before = _cpu(appliance)
                took.append(transfer(page, size)["seconds"])
                busy.append(_cpu(appliance) - before)
            time.sleep(_PUBLISHED)
            stats = appliance.worker("transceiver").stats
            assert isinstance(stats, TransceiverStats)
            chunks = times * size / _CHUNK_OF_OURS
            return {
                "mb_per_s": round(size / MB / statistics.median(took), 2),
                "cpu_ms_per_mb": round(1000 * statistics.median(busy) / (size / MB), 1),
                "resent_percent": round(100 * stats.chunks_resent / chunks, 1),
            }
        finally:
            browser.close()


def _cpu(appliance: Appliance) -> float:
    pid = appliance.worker("transceiver").pid
    assert pid is not None
    return process_cpu(pid)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.datachannel", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="1 of 4 MB each, not 5 of 10")
    parser.add_argument("--json", action="store_true", help="one flat JSON object")
    parser.add_argument("--losses", type=float, nargs="+", default=LOSSES, help="percent, each way")
    options = parser.parse_args()
    times, size = (1, QUICK_SIZE) if options.quick else (5, SIZE)
    fields: dict[str, Any] = {
        "transfers": times,
        "bytes": size,
        "round_trip_ms": round(2000 * ONE_WAY),
    }
    for percent in options.losses:
        port = free_port()
        fate = losing(percent / 100, seed=1)
        with (
            delayed(("127.0.0.1", port), ONE_WAY, reachable(), fate) as proxy,
            running(port=port, advertise=["{}:{}".format(*proxy.address)]) as appliance,
        ):
            for name, value in measure(appliance, times, size).items():
                fields[f"loss{percent:g}_{name}"] = value
    fields |= machine()
    show(fields, as_json=options.json)


if __name__ == "__main__":
    main()
