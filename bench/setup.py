"""How long headless Chromium takes from the answer to a connection and to an open data channel.

    python -m bench.setup [--quick] [--json] [--save FILE]

A real appliance (`tandem run`), once as near as can be and once with a round trip of 100 ms to its relay,
made by a proxy (bench/delay.py); signaling is not delayed. Three browsers: as they come (plain), with SNAP,
and with SPED and SNAP, which Chromium has behind field trials. Times are taken by events inside the page,
from `setRemoteDescription` on; a figure is the median. For comparison our own client, without delay.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, sync_playwright

from appliance.supervisor.addresses import own_addresses
from bench.appliance import Appliance, free_port, running
from bench.browser import CHROMIUM, OWN_ADDRESSES
from bench.delay import delayed
from bench.figures import machine, show

ROUND_TRIP: Final = 0.1
TRIALS: Final = {
    "plain": "",
    "snap": "WebRTC-Sctp-Snap/Enabled/",
    "sped_snap": "WebRTC-IceHandshakeDtls/Enabled/WebRTC-Sctp-Snap/Enabled/",
}
"""Field trials of Chromium that switch each way of setting up on."""
FLAGS: Final = [
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
]
FIELDS: Final = ("ice", "connected", "datachannel", "echo")

CALL: Final = """
async () => {
  window.microphone ??= await navigator.mediaDevices.getUserMedia({ audio: true });
  const peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  for (const track of microphone.getTracks()) peer.addTrack(track, microphone);
  const channel = peer.createDataChannel("bench");
  let began;
  const since = () => performance.now() - began;
  const within = (what, start) => new Promise((done, failed) => {
    setTimeout(() => failed(new Error(`no ${what}`)), 10000);
    start(done, failed);
  });
  const ice = within("ice", (done) => {
    peer.oniceconnectionstatechange = () => {
      if (["connected", "completed"].includes(peer.iceConnectionState)) done(since());
    };
  });
  const connected = within("connection", (done, failed) => {
    peer.onconnectionstatechange = () => {
      if (peer.connectionState === "connected") done(since());
      if (peer.connectionState === "failed") failed(new Error("failed"));
    };
  });
  const datachannel = within("channel", (done) => {
    channel.onopen = () => { done(since()); channel.send("hello"); };
  });
  const echo = within("echo", (done) => { channel.onmessage = () => done(since()); });
  await peer.setLocalDescription();
  const response = await fetch("/v1/realtime/calls", {
    method: "POST", headers: { "Content-Type": "application/sdp" }, body: peer.localDescription.sdp });
  const sdp = await response.text();
  if (response.status !== 201) throw new Error(sdp);
  began = performance.now();
  await peer.setRemoteDescription({ type: "answer", sdp });
  const times = { ice: await ice, connected: await connected, datachannel: await datachannel,
                  echo: await echo };
  await fetch(`${response.headers.get("Location")}/hangup`, { method: "POST" });
  peer.close();
  await new Promise((done) => setTimeout(done, 50));
  return times;
}
"""


def measure(browser: Browser, url: str, calls: int) -> list[dict[str, float]]:
    """One page, so many calls one after another; the first warms up and is left out."""
    context = browser.new_context(permissions=["microphone"])
    try:
        page = context.new_page()
        page.goto(f"{url}/healthz")
        return [page.evaluate(CALL) for _ in range(calls + 1)][1:]
    finally:
        context.close()


def summary(prefix: str, times: list[dict[str, float]]) -> dict[str, float]:
    """Median of every field, best and worst of those that have a goal. Milliseconds.

    On a busy machine the best is what the protocol costs, and the rest the neighbours.
    """
    fields: dict[str, float] = {}
    for name in FIELDS:
        values = [one[name] for one in times]
        fields[f"{prefix}_{name}_ms"] = round(statistics.median(values), 1)
        if name in ("connected", "datachannel"):
            fields[f"{prefix}_{name}_best_ms"] = round(min(values), 1)
            fields[f"{prefix}_{name}_worst_ms"] = round(max(values), 1)
    return fields


def browsers(near: str, far: str, calls: int) -> dict[str, float]:
    """Every way of setting up, with and without the delay."""
    fields: dict[str, float] = {}
    with sync_playwright() as playwright:
        for name, trials in TRIALS.items():
            print(name, file=sys.stderr, flush=True)
            flags = FLAGS + ([f"--force-fieldtrials={trials}"] if trials else [])
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
            try:
                prefix = "rtt0" if name == "plain" else f"rtt0_{name}"
                fields |= summary(prefix, measure(browser, near, calls))
                fields |= summary(f"rtt100_{name}", measure(browser, far, calls))
            finally:
                browser.close()
    return fields


def caller(appliance: Appliance) -> dict[str, float]:
    """Our own client, without delay: one call after another."""
    report = appliance.call(count=40, rate=20, seconds=0.5).report()
    return {
        "rtt0_caller_connected_ms": report["connected_p50_ms"],
        "rtt0_caller_connected_p99_ms": report["connected_p99_ms"],
    }


def page_of(appliance: Appliance) -> str:
    """The URL of its HTTP server."""
    return appliance.status().page.rstrip("/")


def reachable() -> str:
    """An IPv4 address of this machine that a browser sends to: not loopback."""
    for host in own_addresses():
        address = ip_address(host)
        if address.version == 4 and not address.is_loopback:
            return host
    raise SystemExit("no IPv4 address but loopback: browsers would not use it")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.setup", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="5 calls each instead of 25")
    parser.add_argument("--json", action="store_true", help="one flat JSON object")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the object there, too")
    options = parser.parse_args()
    calls, port = 5 if options.quick else 25, free_port()
    fields: dict[str, Any] = {"calls": calls}
    with (
        running(OWN_ADDRESSES) as near,
        delayed(("127.0.0.1", port), ROUND_TRIP / 2, reachable()) as proxy,
        running(port=port, advertise=["{}:{}".format(*proxy.address)]) as far,
    ):
        fields |= caller(near)
        fields |= browsers(page_of(near), page_of(far), calls)
    fields |= machine()
    show(fields, as_json=options.json, save=options.save)


if __name__ == "__main__":
    main()
