"""Chromium restarts ICE by WHIP's PATCH while it talks, and calls with data channels alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import trio

from ipc.messages.stats import TransceiverStats
from tests.interop.test_chromium import of
from tests.support.appliance import running_appliance
from tests.support.interop import shows
from tests.support.peers import chromium, reachable

pytestmark = pytest.mark.interop

WITHIN = """
const within = (promise, what) => Promise.race([promise, new Promise((_, fail) =>
  setTimeout(() => fail(new Error(what)), 60000))]);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const post = async (offer) => {
  const response = await fetch("/whip/echo",
    { method: "POST", headers: { "Content-Type": "application/sdp" }, body: offer });
  if (response.status !== 201) throw new Error(await response.text());
  return response;
};
"""

RESTART = (
    "async ({ times }) => {"
    + WITHIN
    + """
  const pc = new RTCPeerConnection();
  const media = await navigator.mediaDevices.getUserMedia({ audio: true });
  media.getTracks().forEach((track) => pc.addTrack(track, media));
  const channel = pc.createDataChannel("x");
  const heard = [];
  channel.onmessage = (event) => heard.push(event.data);
  const states = [];
  pc.onconnectionstatechange = () => states.push(pc.connectionState);
  await pc.setLocalDescription();
  const created = await post(pc.localDescription.sdp);
  const session = created.headers.get("location"), tags = [created.headers.get("etag")];
  let answer = await created.text();
  await pc.setRemoteDescription({ type: "answer", sdp: answer });
  await within(new Promise((done) => { channel.onopen = done; }), "open");

  const patch = (tag, fragment) => fetch(session, { method: "PATCH", body: fragment,
    headers: { "Content-Type": "application/trickle-ice-sdpfrag", "If-Match": tag } });
  const line = (text, name) => text.match(new RegExp(`^a=${name}:(.*?)\\r?$`, "m"))[1];
  const stats = async () => {
    const all = [...(await pc.getStats()).values()];
    const transport = all.find((report) => report.type === "transport");
    const inbound = all.find((report) => report.type === "inbound-rtp" && report.kind === "audio");
    const pair = all.find((report) => report.id === transport.selectedCandidatePairId);
    return { received: inbound?.packetsReceived ?? 0, lost: inbound?.packetsLost ?? 0,
             dtls: transport.dtlsState, ufrag: transport.iceLocalUsernameFragment,
             changes: transport.selectedCandidatePairChanges, pair: pair?.id };
  };
  const trickled = (await patch(tags[0],
    "m=audio 9 UDP/TLS/RTP/SAVPF 0\\r\\na=mid:0\\r\\na=end-of-candidates\\r\\n")).status;

  const rounds = [];
  for (let n = 0; n < times; n++) {
    await pause(500);
    const before = await stats();
    pc.restartIce();
    const offer = await pc.createOffer();
    await pc.setLocalDescription(offer);
    const response = await patch('"*"', [
      "a=ice-options:trickle ice2", "m=audio 9 UDP/TLS/RTP/SAVPF 0", "a=mid:0",
      `a=ice-ufrag:${line(offer.sdp, "ice-ufrag")}`, `a=ice-pwd:${line(offer.sdp, "ice-pwd")}`,
      ""].join("\\r\\n"));
    const said = await response.text();
    if (response.status !== 200) throw new Error(said);
    tags.push(response.headers.get("etag"));
    // What was agreed before still holds: the same answer with the new credentials.
    answer = answer.replace(/^a=ice-ufrag:.*$/gm, `a=ice-ufrag:${line(said, "ice-ufrag")}`)
                   .replace(/^a=ice-pwd:.*$/gm, `a=ice-pwd:${line(said, "ice-pwd")}`);
    await pc.setRemoteDescription({ type: "answer", sdp: answer });
    await within((async () => {
      for (;;) {
        const now = await stats();
        if (now.pair !== before.pair && now.received > before.received + 50) return;
        await pause(100);
      }
    })(), "a new pair with audio on it");
    const after = await stats();
    rounds.push({ ufrag: before.ufrag !== after.ufrag, dtls: after.dtls,
                  lost: after.lost - before.lost });
  }
  channel.send("still here");
  await within((async () => { while (!heard.length) await pause(50); })(), "echo of a message");
  const stale = (await patch(tags[0], "a=end-of-candidates\\r\\n")).status;
  const gone = (await fetch(session, { method: "DELETE" })).status;
  pc.close();
  return { rounds, trickled, stale, gone, heard, states, tags: new Set(tags).size };
}
"""
)

DATA_ALONE = (
    "async () => {"
    + WITHIN
    + """
  const pc = new RTCPeerConnection();
  const channel = pc.createDataChannel("chat");
  await pc.setLocalDescription();
  const answer = await (await post(pc.localDescription.sdp)).text();
  await pc.setRemoteDescription({ type: "answer", sdp: answer });
  await within(new Promise((done) => { channel.onopen = done; }), "open");
  const heard = new Promise((done) => { channel.onmessage = (event) => done(event.data); });
  channel.send("nothing to hear");
  const echo = await within(heard, "echo");
  const all = [...(await pc.getStats()).values()];
  const transport = all.find((report) => report.type === "transport");
  pc.close();
  return { echo, sections: answer.match(/^m=/gm).length, srtp: transport.srtpCipher ?? null };
}
"""
)


def run(
    script: str,
    argument: Any,
    url: str,
    directory: Path,
    functions: Mapping[str, Callable[[], object]] = MappingProxyType({}),
) -> Any:
    """What a page of the appliance makes of it. `functions`: what it may call here."""
    with chromium(directory) as context:
        page = context.new_page()
        for name, function in functions.items():
            page.expose_function(name, function)
        page.goto(url)
        return page.evaluate(script, argument)


@shows("Chromium", "ICE restart")
async def test_restarts_while_it_talks(tmp_path: Path) -> None:
    times = 3
    async with running_appliance(tmp_path, reachable()) as appliance:
        work = partial(run, RESTART, {"times": times}, appliance.url, tmp_path)
        result = await trio.to_thread.run_sync(work)
        status = await appliance.until(
            lambda status: bool(of(TransceiverStats, status).closed), within=60
        )
    assert [r["dtls"] for r in result["rounds"]] == ["connected"] * times
    assert all(r["ufrag"] for r in result["rounds"])
    assert [r["lost"] for r in result["rounds"]] == [0] * times
    assert result["heard"] == ["still here"]
    assert result["tags"] == times + 1
    assert (result["trickled"], result["stale"]) == (204, 412)
    assert set(result["states"]) <= {"connecting", "connected"}
    assert of(TransceiverStats, status).created_total == 1


async def test_data_channels_alone(tmp_path: Path) -> None:
    async with running_appliance(tmp_path, reachable()) as appliance:
        work = partial(run, DATA_ALONE, None, appliance.url, tmp_path)
        result = await trio.to_thread.run_sync(work)
    assert result["echo"] == "nothing to hear"
    assert result["sections"] == 1
    assert result["srtp"] is None
