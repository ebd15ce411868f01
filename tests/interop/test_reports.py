"""Reports of other stacks: what they tell of us, and what we tell of them."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from ipc.messages.admin import SessionsRequest
from ipc.messages.sessions import SessionList
from ipc.rpc import call_blocking
from tests.support.appliance import TREE, Appliance, running_appliance
from tests.support.interop import shows
from tests.support.peers import chromium, reachable

pytestmark = pytest.mark.interop

WITHIN = 60.0

CALL = """
async (seconds) => {
  const peer = new RTCPeerConnection();
  const media = await navigator.mediaDevices.getUserMedia({ audio: true });
  media.getTracks().forEach((track) => peer.addTrack(track, media));
  await peer.setLocalDescription();
  const answer = await fetch("/whip/echo",
    { method: "POST", headers: { "Content-Type": "application/sdp" }, body: peer.localDescription.sdp });
  await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
  const ends = performance.now() + seconds * 1000;
  while (performance.now() < ends) {
    await new Promise((done) => setTimeout(done, 200));
    const all = [...(await peer.getStats()).values()];
    const of = (type) => all.find((report) => report.type === type);
    const ours = of("remote-inbound-rtp"), theirs = of("remote-outbound-rtp");
    if (ours?.roundTripTimeMeasurements && theirs?.reportsSent) {
      window.peer = peer;
      return { ours, theirs, heard: of("inbound-rtp"), said: of("outbound-rtp"), now: Date.now() };
    }
  }
  return null;
}
"""


def sessions(appliance: Appliance) -> SessionList:
    reply = call_blocking(appliance.admin, SessionsRequest(10), 5.0)
    assert isinstance(reply, SessionList)
    return reply


def browse(appliance: Appliance, directory: Path, result: dict[str, Any]) -> None:
    """One call; it is still up when the appliance is asked about it."""
    with chromium(directory) as context:
        page = context.new_page()
        page.goto(appliance.url)
        result.update(page.evaluate(CALL, WITHIN) or {})
        for _ in range(600):
            result["rows"] = sessions(appliance).rows
            if result["rows"][0].peer_lost is not None:
                break
            page.wait_for_timeout(100)


@shows("Chromium", "RTCP reports both ways")
async def test_chromium(tmp_path: Path) -> None:
    found: dict[str, Any] = {}
    async with running_appliance(tmp_path, reachable()) as appliance:
        await trio.to_thread.run_sync(partial(browse, appliance, tmp_path, found))
    # Our reports of its stream.
    assert found["ours"]["ssrc"] == found["said"]["ssrc"]
    assert found["ours"]["packetsLost"] == 0
    assert 0 <= found["ours"]["roundTripTime"] < 0.5
    assert 0 <= found["ours"]["jitter"] < 0.5
    # Our sender reports, by its count and its clock.
    assert found["theirs"]["ssrc"] == found["heard"]["ssrc"]
    assert found["theirs"]["packetsSent"] > 10
    assert found["theirs"]["bytesSent"] > 10 * found["theirs"]["packetsSent"]
    assert abs(found["theirs"]["remoteTimestamp"] - found["now"]) < 15_000
    # Its reports of ours.
    (row,) = found["rows"]
    assert row.peer_lost == 0
    assert row.peer_jitter_ms is not None
    assert row.round_trip_ms is not None
    assert row.round_trip_ms < 500


@shows("aiortc", "RTCP reports both ways")
async def test_aiortc(tmp_path: Path) -> None:
    async with running_appliance(tmp_path, reachable()) as appliance:
        with trio.fail_after(60):
            done = await trio.run_process(
                [sys.executable, "-m", "tests.interop.aiortc_report_peer", appliance.url],
                cwd=TREE,
                capture_stdout=True,
                capture_stderr=True,
                check=False,
            )
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    assert found["ours"]["packetsLost"] == 0
    assert 0 <= found["ours"]["roundTripTime"] < 0.5
    assert found["theirs"]["packetsSent"] > 10
