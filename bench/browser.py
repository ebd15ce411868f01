"""How long headless Chromium waits for its own voice, from a whole appliance with no delay added.

    python -m bench.browser [--quick] [--json] [--url URL]

Times are taken by events inside the page, from `setRemoteDescription` on: until the connection is
`connected`, and until the first encoded audio frame of the echo is there. Without `--url` it starts an
appliance of its own.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

from playwright.sync_api import sync_playwright

from bench.appliance import running
from bench.figures import machine, show

CHROMIUM = "/usr/bin/chromium"
OWN_ADDRESSES = ("0.0.0.0", "[::]")
"""Browsers leave loopback out of their candidates."""

CALL = """
async () => {
  window.microphone ??= await navigator.mediaDevices.getUserMedia({ audio: true });
  const peer = new RTCPeerConnection({ encodedInsertableStreams: true, bundlePolicy: "max-bundle" });
  for (const track of microphone.getTracks()) peer.addTrack(track, microphone);
  const { readable, writable } = peer.getSenders()[0].createEncodedStreams();
  readable.pipeTo(writable).catch(() => {});
  let began;
  const since = () => performance.now() - began;
  const connected = new Promise((done, failed) => {
    peer.onconnectionstatechange = () => {
      if (peer.connectionState === "connected") done(since());
      if (peer.connectionState === "failed") failed(new Error("failed"));
    };
  });
  const heard = new Promise((done) => {
    peer.ontrack = async ({ receiver }) => {
      const { readable, writable } = receiver.createEncodedStreams();
      const frames = readable.getReader();
      await frames.read();
      done(since());
      frames.releaseLock();
      readable.pipeTo(writable).catch(() => {});
    };
  });
  await peer.setLocalDescription();
  const asked = performance.now();
  const response = await fetch("/v1/realtime/calls", {
    method: "POST", headers: { "Content-Type": "application/sdp" }, body: peer.localDescription.sdp });
  const sdp = await response.text();
  if (response.status !== 201) throw new Error(sdp);
  const http = performance.now() - asked;
  began = performance.now();
  await peer.setRemoteDescription({ type: "answer", sdp });
  const times = { http, connected: await connected, audio: await heard };
  await fetch(`${response.headers.get("Location")}/hangup`, { method: "POST" });
  peer.close();
  await new Promise((done) => setTimeout(done, 100));
  return times;
}
"""


def measure(url: str, calls: int) -> list[dict[str, float]]:
    """One browser, one page, so many calls one after another; the first warms up and is left out."""
    flags = ["--use-fake-device-for-media-stream", "--autoplay-policy=no-user-gesture-required"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        try:
            page = browser.new_context(permissions=["microphone"]).new_page()
            page.goto(f"{url}/healthz")
            return [page.evaluate(CALL) for _ in range(calls + 1)][1:]
        finally:
            browser.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.browser", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="10 calls instead of 50")
    parser.add_argument("--json", action="store_true", help="one flat JSON object")
    parser.add_argument("--url", help="a running appliance, e.g. http://127.0.0.1:8080")
    options = parser.parse_args()
    calls = 10 if options.quick else 50
    if options.url:
        times = measure(options.url.rstrip("/"), calls)
    else:
        with running(OWN_ADDRESSES) as appliance:
            times = measure(appliance.status().page.rstrip("/"), calls)
    result: dict[str, Any] = {"calls": calls}
    for field, key in (("http", "http"), ("connected", "connected"), ("first_audio", "audio")):
        values = sorted(one[key] for one in times)
        result[f"{field}_ms"] = round(statistics.median(values), 1)
        result[f"{field}_worst_ms"] = round(values[-1], 1)
    result |= machine()
    show(result, as_json=options.json)


if __name__ == "__main__":
    main()
