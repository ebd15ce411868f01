"""Headless Chromium as a client of the failover bench: when did each frame of its echo come?"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from playwright.sync_api import sync_playwright

from bench.failover_net import host_address
from bench.failover_stage import Stage

CHROMIUM: Final = Path("/usr/bin/chromium")
_CALL: Final = """
async () => {
  const microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
  const peer = window.peer = new RTCPeerConnection({ encodedInsertableStreams: true });
  window.arrivals = [];
  for (const track of microphone.getTracks()) peer.addTrack(track, microphone);
  const { readable, writable } = peer.getSenders()[0].createEncodedStreams();
  readable.pipeTo(writable).catch(() => {});
  const heard = new Promise((done) => {
    peer.ontrack = ({ receiver }) => {
      const { readable, writable } = receiver.createEncodedStreams();
      const note = new TransformStream({ transform(frame, controller) {
        window.arrivals.push(performance.now() / 1000);
        controller.enqueue(frame);
        done();
      } });
      readable.pipeThrough(note).pipeTo(writable).catch(() => {});
    };
  });
  await peer.setLocalDescription();
  const response = await fetch("/v1/realtime/calls", {
    method: "POST", headers: { "Content-Type": "application/sdp" }, body: peer.localDescription.sdp });
  const sdp = await response.text();
  if (response.status !== 201) throw new Error(sdp);
  await peer.setRemoteDescription({ type: "answer", sdp });
  await heard;
}
"""
_FLAGS: Final = (
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
)


@contextmanager
def browser_call(scene: Stage) -> Iterator[Callable[[], list[float]]]:
    """One that has heard itself; asked, it gives the times of the monotonic clock at which frames came."""
    origin = f"http://{host_address(2)}:8080"
    there = scene.directory / "chromium"
    inside = shlex.join(scene.net.command("clients", [str(CHROMIUM)]))
    there.write_text(f'#!/bin/sh\nexec {inside} "$@"\n')
    there.chmod(0o755)
    flags = [*_FLAGS, f"--unsafely-treat-insecure-origin-as-secure={origin}"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=there, args=flags)
        try:
            page = browser.new_context(permissions=["microphone"]).new_page()
            page.goto(f"{origin}/healthz")
            page.evaluate(_CALL)

            def arrivals() -> list[float]:
                now, times = page.evaluate("() => [performance.now() / 1000, window.arrivals]")
                ahead = time.monotonic() - now
                return [at + ahead for at in times]

            yield arrivals
        finally:
            browser.close()
