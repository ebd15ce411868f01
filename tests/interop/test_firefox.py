"""Firefox against a whole appliance: a tone and messages come back, before and after an ICE restart."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

import pytest
import trio

from tests.support.appliance import running_appliance
from tests.support.interop import shows
from tests.support.marionette import firefox
from tests.support.peers import reachable

pytestmark = pytest.mark.interop

CALL: Final = """
const peer = new RTCPeerConnection();
const media = await navigator.mediaDevices.getUserMedia({ audio: true });
media.getTracks().forEach((track) => peer.addTrack(track, media));
const channel = peer.createDataChannel("chat");
const within = (what, start) => new Promise((done, failed) => {
  setTimeout(() => failed(new Error("no " + what + ": " + peer.connectionState)), 60000);
  start(done);
});
const connected = within("connection", (done) => {
  peer.onconnectionstatechange = () => peer.connectionState === "connected" && done();
});
const replies = [];
let answered = () => {};
channel.onmessage = (event) => { replies.push(event.data); answered(); };
const echoed = (text) => within("echo", (done) => { answered = done; channel.send(text); });
const opened = within("channel", (done) => { channel.onopen = done; });
const heard = async () => {
  const all = [...(await peer.getStats()).values()];
  return all.find((report) => report.type === "inbound-rtp") ?? {};
};
const louder = async () => {
  const before = await heard();
  for (let n = 0; n < 300; n += 1) {
    const now = await heard();
    if ((now.packetsReceived ?? 0) > (before.packetsReceived ?? 0) + 25
        && (now.totalAudioEnergy ?? 0) > (before.totalAudioEnergy ?? 0)) return true;
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error("nothing is heard: " + JSON.stringify(await heard()));
};
await peer.setLocalDescription();
const response = await fetch("/whip/echo", {
  method: "POST", headers: { "Content-Type": "application/sdp" }, body: peer.localDescription.sdp });
const answer = await response.text();
await peer.setRemoteDescription({ type: "answer", sdp: answer });
await connected;
await opened;
await echoed("before");
const first = await louder();

peer.restartIce();
await peer.setLocalDescription();
const sdp = peer.localDescription.sdp;
const one = (name) => sdp.match(new RegExp(`^a=${name}:(.*)$`, "m"))[1].trim();
const fragment = `a=ice-ufrag:${one("ice-ufrag")}\\r\\na=ice-pwd:${one("ice-pwd")}\\r\\n`
  + `m=audio 9 UDP/TLS/RTP/SAVPF 0\\r\\na=mid:${one("mid")}\\r\\n`;
const patched = await fetch(response.headers.get("Location"), {
  method: "PATCH", body: fragment,
  headers: { "Content-Type": "application/trickle-ice-sdpfrag", "If-Match": '"*"' } });
const theirs = await patched.text();
const take = (name) => theirs.match(new RegExp(`^a=${name}:(.*)$`, "m"))[1].trim();
const restarted = answer
  .replace(/^a=ice-ufrag:.*$/gm, "a=ice-ufrag:" + take("ice-ufrag"))
  .replace(/^a=ice-pwd:.*$/gm, "a=ice-pwd:" + take("ice-pwd"));
await peer.setRemoteDescription({ type: "answer", sdp: restarted });
await echoed("after");
const second = await louder();
const ended = await fetch(response.headers.get("Location"), { method: "DELETE" });
peer.close();
media.getTracks().forEach((track) => track.stop());
return { first, second, replies, status: response.status, patched: patched.status,
         ended: ended.status };
"""


def call(url: str) -> None:
    with firefox() as driver:
        driver.open(url)
        assert driver.run(CALL) == {
            "first": True,
            "second": True,
            "replies": ["before", "after"],
            "status": 201,
            "patched": 200,
            "ended": 200,
        }


@shows("Firefox", "audio", "data channel", "ICE restart", "WHIP")
async def test_a_tone_and_messages_come_back(tmp_path: Path) -> None:
    async with running_appliance(tmp_path, reachable()) as appliance:
        await trio.to_thread.run_sync(partial(call, appliance.url))
        await appliance.until(lambda status: all(worker.sessions == 0 for worker in status.workers))
