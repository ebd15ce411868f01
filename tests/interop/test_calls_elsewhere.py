"""Chromium calls one host over the signaling WebSocket, and its call is on another one."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from ipc.messages.stats import TransceiverStats
from tests.interop.test_chromium import of
from tests.interop.test_restart import run
from tests.process.test_placing_elsewhere import hosts, placed, replaced
from tests.process.test_roll import tandem
from tests.support.appliance import free_udp_port
from tests.support.interop import shows
from tests.support.redis_server import needs_redis

pytestmark = [pytest.mark.interop, needs_redis]

CALL = """
async ({ meanwhile }) => {
  const within = (promise, what) => Promise.race([promise, new Promise((_, fail) =>
    setTimeout(() => fail(new Error(what)), 60000))]);
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  const socket = new WebSocket(`ws://${location.host}/v1/realtime/signal`, ["tandem"]);
  const heard = [], waiting = [];
  socket.onmessage = ({ data }) => {
    const said = JSON.parse(data);
    const index = waiting.findIndex(([wanted]) => wanted(said));
    if (index < 0) heard.push(said); else waiting.splice(index, 1)[0][1](said);
  };
  const hear = (type, id) => within(new Promise((done) => {
    const wanted = (said) => said.type === type && said.id === id || said.type === "error";
    const index = heard.findIndex(wanted);
    if (index < 0) waiting.push([wanted, done]); else done(heard.splice(index, 1)[0]);
  }), `${type}; ${JSON.stringify(heard)}`).then((said) => {
    if (said.type === "error") throw new Error(JSON.stringify(said.problem));
    return said;
  });
  let last = 0;
  const ask = (type, answer, fields = {}) => {
    socket.send(JSON.stringify({ type, id: ++last, ...fields }));
    return hear(answer, last);
  };
  await within(new Promise((done) => { socket.onopen = done; }), "no socket");

  const pc = new RTCPeerConnection();
  const media = await navigator.mediaDevices.getUserMedia({ audio: true });
  media.getTracks().forEach((track) => pc.addTrack(track, media));
  await pc.setLocalDescription();
  const answer = await ask("offer", "answer", { sdp: pc.localDescription.sdp });
  await pc.setRemoteDescription({ type: "answer", sdp: answer.sdp });
  const connected = await hear("connected");
  await ask("trickle", "trickled", { ice: answer.ice, fragment: ["m=audio 9 UDP/TLS/RTP/SAVPF 0",
    "a=mid:0", "a=end-of-candidates", ""].join("\\r\\n") });
  const stats = async () => {
    const all = [...(await pc.getStats()).values()];
    const transport = all.find((report) => report.type === "transport");
    const inbound = all.find((report) => report.type === "inbound-rtp" && report.kind === "audio");
    return { received: inbound?.packetsReceived ?? 0, pair: transport.selectedCandidatePairId };
  };
  const flows = async (before, what) => within((async () => {
    for (;;) {
      const now = await stats();
      if (now.received > before.received + 50 && (!before.pair || now.pair !== before.pair)) return;
      await pause(100);
    }
  })(), what);
  await flows({ received: 0 }, "an echo");
  const cut = meanwhile && window.cut();
  const before = await stats();
  pc.restartIce();
  const offer = await pc.createOffer();
  await pc.setLocalDescription(offer);
  const line = (text, name) => text.match(new RegExp(`^a=${name}:(.*?)\\r?$`, "m"))[1];
  const restarted = await ask("restart", "restarted", { fragment: ["m=audio 9 UDP/TLS/RTP/SAVPF 0",
    "a=mid:0", `a=ice-ufrag:${line(offer.sdp, "ice-ufrag")}`, `a=ice-pwd:${line(offer.sdp, "ice-pwd")}`,
    ""].join("\\r\\n") });
  const renewed = answer.sdp
    .replace(/^a=ice-ufrag:.*$/gm, `a=ice-ufrag:${line(restarted.fragment, "ice-ufrag")}`)
    .replace(/^a=ice-pwd:.*$/gm, `a=ice-pwd:${line(restarted.fragment, "ice-pwd")}`);
  await pc.setRemoteDescription({ type: "answer", sdp: renewed });
  await flows(before, "an echo by a new pair");
  await cut;
  await ask("hangup", "hungup");
  const closed = await hear("closed");
  pc.close();
  return { session: answer.session, connected: connected.session, restarted: restarted.session,
           closed: [closed.session, closed.reason] };
}
"""


@pytest.mark.parametrize("dies", [False, True])
@shows("Chromium", "signaling over a WebSocket")
async def test_a_browser_never_sees_that_its_call_is_elsewhere(tmp_path: Path, dies: bool) -> None:
    """Also if the signaling of the host where it is dies and comes back, just when it wants something."""
    relay: dict[str, Any] = {"listen": [f"0.0.0.0:{free_udp_port()}"]}
    async with hosts(tmp_path, {}, {"relay": relay}) as (a, b):
        assert (await tandem(a, "drain"))[0] == 0
        pid = (await b.worker("signaling-0")).pid
        expose = {"cut": partial(os.kill, pid, signal.SIGKILL)} if dies else {}
        work = partial(run, CALL, {"meanwhile": dies}, a.url, tmp_path, expose)
        told = await trio.to_thread.run_sync(work)
        session = told["session"]
        assert told == {
            "session": session,
            "connected": session,
            "restarted": session,
            "closed": [session, "hangup"],
        }
        await a.until(placed("elsewhere", 1))
        assert of(TransceiverStats, await a.status()).created_total == 0
        assert of(TransceiverStats, await b.status()).created_total == 1
        if dies:
            await b.until(replaced(pid))
