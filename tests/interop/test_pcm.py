"""Real peers and the back end that decodes: their tone comes back as that tone, through loss too."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support.appliance import TREE, running_appliance
from tests.support.interop import shows
from tests.support.peers import chromium, reachable

pytestmark = pytest.mark.interop

PEER = TREE / "tests/interop/aiortc_peer.py"

CALL = """
async ({ pitch, only }) => {
  const audio = new AudioContext({ sampleRate: 48000 });
  await audio.resume();
  const tone = new OscillatorNode(audio, { frequency: pitch });
  const microphone = audio.createMediaStreamDestination();
  tone.connect(microphone);
  tone.start();
  const peer = new RTCPeerConnection();
  const sender = peer.addTransceiver(microphone.stream.getAudioTracks()[0]);
  if (only) {
    const all = RTCRtpReceiver.getCapabilities("audio").codecs;
    sender.setCodecPreferences(all.filter((codec) => codec.mimeType === only));
  }
  const heard = new Promise((done) => { peer.ontrack = (event) => done(event.track); });
  await peer.setLocalDescription();
  const response = await fetch("/whip/echo-pcm", {
    method: "POST", headers: { "Content-Type": "application/sdp" }, body: peer.localDescription.sdp,
  });
  const answer = await response.text();
  if (response.status !== 201) return { status: response.status, answer };
  await peer.setRemoteDescription({ type: "answer", sdp: answer });
  const stream = new MediaStream([await heard]);
  // Without an element that plays it Chromium decodes nothing.
  window.element = new Audio();
  window.element.muted = true;
  window.element.srcObject = stream;
  const analyser = new AnalyserNode(audio, { fftSize: 8192 });
  audio.createMediaStreamSource(stream).connect(analyser);
  const end = performance.now() + 60000;
  const bins = new Float32Array(analyser.frequencyBinCount);
  let peaks = [], stats = [], inbound = null;
  const near = (peak) => Math.abs(peak - pitch) < 20;
  do {  // until a second of what has come back is the tone
    await new Promise((done) => setTimeout(done, 100));
    analyser.getFloatFrequencyData(bins);
    peaks = [...peaks, bins.indexOf(Math.max(...bins)) * 48000 / 8192].slice(-10);
    stats = [...(await peer.getStats()).values()];
    inbound = stats.find((report) => report.type === "inbound-rtp");
  } while (performance.now() < end && (peaks.filter(near).length < 8 || inbound.packetsReceived <= 150));
  const codec = stats.find((report) => report.id === inbound.codecId);
  peer.close();
  return { status: response.status, answer, peaks, codec: codec.mimeType,
           received: inbound.packetsReceived, lost: inbound.packetsLost };
}
"""


@shows("aiortc", "PCM for the back end", "concealment of 10 % loss")
@pytest.mark.parametrize("loss", [0.0, 0.1])
async def test_aiortc(tmp_path: Path, loss: float) -> None:
    async with running_appliance(tmp_path, reachable()) as appliance:
        with trio.fail_after(60):
            done = await trio.run_process(
                [
                    sys.executable,
                    str(PEER),
                    appliance.url,
                    "/whip/echo-pcm",
                    "5",
                    "--loss",
                    str(loss),
                ],
                capture_stdout=True,
                capture_stderr=True,
                check=False,
            )
        assert done.returncode == 0, done.stderr.decode()
        result = json.loads(done.stdout)
        assert result["status"] == 201
        assert result["state"] == "connected"
        assert result["frames"] > 150
        assert result["rms"] > 1000
        assert result["tone"] > (0.5 if loss else 0.8)


def browse(url: str, directory: Path, argument: dict[str, Any]) -> dict[str, Any]:
    with chromium(directory) as context:
        page = context.new_page()
        page.goto(url)
        page.mouse.click(5, 5)  # sound needs a gesture
        result: dict[str, Any] = page.evaluate(CALL, argument)
        return result


@shows("Chromium", "PCM for the back end", "G.711")
@pytest.mark.parametrize("only", ["", "audio/PCMU"])
async def test_chromium(tmp_path: Path, only: str) -> None:
    pitch = 700
    async with running_appliance(tmp_path, reachable()) as appliance:
        result = await trio.to_thread.run_sync(
            browse, appliance.url, tmp_path, {"pitch": pitch, "only": only}
        )
    assert result["status"] == 201, result
    assert result["codec"] == (only or "audio/opus")
    assert result["received"] > 150
    near = [peak for peak in result["peaks"] if abs(peak - pitch) < 20]
    assert len(near) >= 8, result
