"""Chromium with SPED and SNAP switched on, through a network that we watch and that loses what we say."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from appliance.supervisor.addresses import own_addresses
from bench.delay import delayed
from tests.support.appliance import free_udp_port, running_appliance
from tests.support.interop import shows
from tests.support.peers import chromium
from workers.transceiver.core.checks import DTLS_ACKS, DTLS_DATA, parse_binding
from workers.transceiver.core.stun_codec import stun
from workers.wire.sped import ICE_OPTIONS

pytestmark = pytest.mark.interop

SPED: Final = "WebRTC-IceHandshakeDtls/Enabled/"
SNAP: Final = "WebRTC-Sctp-Snap/Enabled/"
ONE_WAY: Final = 0.02

CALL: Final = """
async (linger) => {
  const peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  const media = await navigator.mediaDevices.getUserMedia({ audio: true });
  media.getTracks().forEach((track) => peer.addTrack(track, media));
  const channel = peer.createDataChannel("chat");
  const within = (what, start) => new Promise((done, failed) => {
    setTimeout(() => failed(new Error(`no ${what}`)), 60000);
    start(done);
  });
  const connected = within("connection", (done) => {
    peer.onconnectionstatechange = () => peer.connectionState === "connected" && done();
  });
  channel.onopen = () => channel.send("hello");
  const echo = within("echo", (done) => { channel.onmessage = (event) => done(event.data); });
  await peer.setLocalDescription();
  const response = await fetch("/whip/echo", {
    method: "POST", headers: { "Content-Type": "application/sdp" }, body: peer.localDescription.sdp });
  const answer = await response.text();
  await peer.setRemoteDescription({ type: "answer", sdp: answer });
  await connected;
  const heard = await echo;
  await new Promise((done) => setTimeout(done, linger));
  const transport = [...(await peer.getStats()).values()].find((r) => r.type === "transport");
  const offer = peer.localDescription.sdp;
  peer.close();
  media.getTracks().forEach((track) => track.stop());
  await fetch(response.headers.get("Location"), { method: "DELETE" });
  return { offer, answer, heard, dtls: transport.dtlsState, tls: transport.tlsVersion };
}
"""


class Wire:
    """What passed, and what is not to pass."""

    def __init__(self) -> None:
        self.seen: list[tuple[bool, bytes]] = []
        self.lose: Callable[[int], bool] = lambda _number: False

    def fate(self, to_server: bool, datagram: bytes) -> bool:
        self.seen.append((to_server, datagram))
        return not self.lose(len(self.seen) - 1)

    def begin(self, lose: Callable[[int], bool] = lambda _number: False) -> None:
        self.seen, self.lose = [], lose

    def carried(self, *, to_server: bool) -> list[Mapping[str, Any]]:
        """Attributes of the checks and responses that went that way."""
        ways = (datagram for way, datagram in self.seen if way is to_server and datagram[0] < 4)
        return [parse_binding(datagram).attributes for datagram in ways]


def sped_options(sdp: str) -> set[str]:
    """By which names it says SPED: Chromium has had more than one."""
    line = re.search(r"^a=ice-options:(.*?)\r$", sdp, re.MULTILINE)
    return set(line[1].split()) & set(ICE_OPTIONS) if line else set()


def first_ipv4() -> str:
    """Where a browser would send to; it would not to loopback."""
    for host in own_addresses():
        address = ip_address(host)
        if address.version == 4 and not address.is_loopback:
            return host
    raise AssertionError("this machine has no IPv4 address but loopback")


async def through(directory: Path, trials: str, browse: Callable[[Any, Wire], None]) -> None:
    """An appliance, a wire to it, and a browser with these field trials in a thread of its own."""
    port, wire = free_udp_port(), Wire()

    def run(url: str) -> None:
        with chromium(directory, flags=[f"--force-fieldtrials={trials}"]) as context:
            page = context.new_page()
            page.goto(url)
            browse(page, wire)

    with delayed(("127.0.0.1", port), ONE_WAY, first_ipv4(), wire.fate) as proxy:
        host, public = proxy.address
        relay = {"listen": [f"127.0.0.1:{port}"], "advertise": [f"{host}:{public}"]}
        async with running_appliance(directory, {"relay": relay}) as appliance:
            await trio.to_thread.run_sync(partial(run, appliance.url))


@shows("Chromium", "SPED", "SNAP", "WHIP")
async def test_the_handshake_happens_in_the_checks(tmp_path: Path) -> None:
    def browse(page: Any, wire: Wire) -> None:
        result = page.evaluate(CALL, 3500)  # longer than Chromium waits between two checks
        assert result["heard"] == "hello"
        assert result["dtls"] == "connected"
        assert sped_options(result["answer"]) == sped_options(result["offer"]) != set()
        assert "a=sctp-init:" in result["answer"]
        theirs, ours = wire.carried(to_server=True), wire.carried(to_server=False)
        assert any(attributes.get(DTLS_DATA) for attributes in theirs)
        assert any(attributes.get(DTLS_DATA) for attributes in ours)
        assert any(attributes.get(DTLS_ACKS) for attributes in ours)
        # Nothing but STUN went up before our flight came down in a response.
        flight = next(
            number
            for number, (to_server, datagram) in enumerate(wire.seen)
            if not to_server
            and datagram[0] < 4
            and parse_binding(datagram).attributes.get(DTLS_DATA)
        )
        assert parse_binding(wire.seen[flight][1]).kind is stun.Class.RESPONSE
        assert max(len(datagram) for _, datagram in wire.seen) <= 1200
        # And it ends with the handshake.
        assert DTLS_DATA not in theirs[-1]
        assert DTLS_DATA not in ours[-1]

    await through(tmp_path, SPED + SNAP, browse)


@pytest.mark.parametrize("trials", [SPED, SNAP], ids=["sped", "snap"])
async def test_each_by_itself(tmp_path: Path, trials: str) -> None:
    def browse(page: Any, _wire: Wire) -> None:
        result = page.evaluate(CALL, 0)
        assert result["heard"] == "hello"
        assert sped_options(result["answer"]) == sped_options(result["offer"])
        assert bool(sped_options(result["answer"])) is (trials == SPED)
        assert ("a=sctp-init:" in result["answer"]) is (trials == SNAP)

    await through(tmp_path, trials, browse)


async def test_any_one_of_the_first_datagrams_may_be_lost(tmp_path: Path) -> None:
    def browse(page: Any, wire: Wire) -> None:
        for lost in range(12):
            wire.begin(partial(operator.eq, lost))
            assert page.evaluate(CALL, 0)["heard"] == "hello", lost
        wire.begin(lambda number: number % 4 == 1 and number < 40)
        assert page.evaluate(CALL, 0)["heard"] == "hello"

    await through(tmp_path, SPED + SNAP, browse)
