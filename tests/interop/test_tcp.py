"""Chromium where UDP is blocked: by ICE-TCP, with nothing said to the page."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from playwright.sync_api import Page

from ipc.messages.stats import RelayStats
from tests.interop.test_chromium import LIVE, WITHIN, of, open_page, until
from tests.process.test_roll import tandem
from tests.support.appliance import running_appliance
from tests.support.namespaces import SERVER, Net, small_internet
from tests.support.peers import STATS, chromium, reachable

pytestmark = pytest.mark.interop

WITHOUT_UDP = """
(() => {
  const set = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
    const lines = sdp.split("\\r\\n").filter((line) => !/^a=candidate:\\S+ 1 udp /.test(line));
    return set.call(this, { type, sdp: lines.join("\\r\\n") });
  };
})();
"""
PAIR = """
async () => {
  const all = [...(await window.peers.at(-1).getStats()).values()];
  const transport = all.find((report) => report.type === "transport");
  const pair = all.find((report) => report.id === transport.selectedCandidatePairId);
  const far = all.find((report) => report.id === pair.remoteCandidateId);
  return { protocol: far.protocol, type: far.tcpType ?? "", port: far.port };
}
"""
MORE = f"""async (before) => {{
  const now = await ({STATS})();
  return now.energy > before.energy + 0.01 && now.received > before.received + 50 ? now : null;
}}"""


def talk(page: Page) -> dict[str, Any]:
    """Begin a call, hear what was said; the pair that it goes by."""
    page.click("#start")
    page.wait_for_selector(LIVE, timeout=WITHIN)
    until(page, MORE, page.evaluate(STATS))
    pair = page.evaluate(PAIR)
    assert isinstance(pair, dict)
    return pair


def call_without_udp(
    url: str, directory: Path, port: int, break_it: Callable[[], None]
) -> list[str]:
    with chromium(directory) as context:
        context.add_init_script(WITHOUT_UDP)
        page, errors = open_page(context, url)
        assert talk(page) == {"protocol": "tcp", "type": "passive", "port": port}
        break_it()
        until(page, MORE, page.evaluate(STATS))
        assert page.evaluate("() => window.peers.length") == 1
        page.click("#hang-up")
        return errors


@pytest.mark.parametrize("how", ["killed", "replaced"])
async def test_chromium_talks_by_tcp_and_survives_its_relay(tmp_path: Path, how: str) -> None:
    overrides = reachable()
    port = int(overrides["relay"]["listen"][0].rpartition(":")[2])
    async with running_appliance(tmp_path, overrides) as appliance:
        relay = await appliance.worker("relay-0")

        def kill() -> None:
            assert relay.pid
            os.kill(relay.pid, signal.SIGKILL)

        def replace() -> None:
            code, reply = trio.from_thread.run(tandem, appliance, "reload", "--roll")
            assert (code, reply["replaced"][0]) == (0, "relay-0"), reply

        break_it = kill if how == "killed" else replace
        errors = await trio.to_thread.run_sync(
            call_without_udp, appliance.url, tmp_path, port, break_it
        )
        assert errors == []
        status = await appliance.until(lambda status: of(RelayStats, status).tcp is not None)
        stats = of(RelayStats, status)
        assert stats.conserved
        if how == "replaced":
            assert stats.tcp is not None
            assert stats.tcp.taken  # of each interface one
            assert stats.tcp.accepted == 0  # it has not connected anew


def call_from_behind(net: Net, url: str, directory: Path) -> dict[str, Any]:
    """In the client's namespace; a page that is not on localhost must be trusted with the microphone."""
    browser = directory / "chromium"
    browser.write_text(f'#!/bin/sh\nexec {" ".join(net.client)} /usr/bin/chromium "$@"\n')
    browser.chmod(0o755)
    trusted = f"--unsafely-treat-insecure-origin-as-secure={url}"
    with chromium(directory, flags=[trusted], executable=browser) as context:
        page, errors = open_page(context, url)
        pair = talk(page)
        assert errors == []
        return pair


@pytest.mark.parametrize("blocked", [True, False])
async def test_behind_a_firewall_that_drops_udp(tmp_path: Path, blocked: bool) -> None:
    overrides: dict[str, dict[str, Any]] = {
        "relay": {"listen": ["0.0.0.0:3478", "[::]:3478"]},
        "signaling": {"listen": ["0.0.0.0:8080"], "anonymous": True},
    }
    with small_internet() as net:
        if blocked:
            net.block_udp()
        async with running_appliance(tmp_path, overrides, prefix=net.server):
            url = f"http://{SERVER[0]}:8080"
            pair = await trio.to_thread.run_sync(call_from_behind, net, url, tmp_path)
            assert pair["protocol"] == ("tcp" if blocked else "udp")
