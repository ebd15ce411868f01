"""Keys, secrets and the signaling WebSocket of a real appliance: real offers, real transceivers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from tests.support.access import KEY, line
from tests.support.appliance import running_appliance
from tests.support.tree import ROOT
from tests.support.websocket import Rejected, websocket

OFFER = (ROOT / "tests/fixtures/offers/chromium-audio.sdp").read_text(encoding="utf-8")
FRAGMENT = (
    "a=ice-ufrag:abcd\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaaaa\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"
)

pytestmark = pytest.mark.process


async def test_a_call_with_a_secret_over_the_websocket(tmp_path: Path) -> None:
    keys = tmp_path / "api-keys.toml"
    keys.write_text(line("shop", KEY), encoding="utf-8")
    keys.chmod(0o600)
    settings: dict[str, dict[str, Any]] = {
        "relay": {"workers": 1},
        "transceiver": {"workers": 1, "connect_timeout": 2.0},
        "signaling": {"api_keys": str(keys)},
    }
    async with running_appliance(tmp_path, settings) as appliance:
        async with httpx.AsyncClient(base_url=appliance.url, trust_env=False) as http:
            minted = await http.post(
                "/v1/realtime/client_secrets",
                json={"metadata": {"user": 7}},
                headers={"authorization": f"Bearer {KEY}"},
            )
            secret = minted.json()["value"]
            assert (await http.post("/v1/realtime/calls", content=OFFER)).status_code == 401
        port = int(appliance.url.rpartition(":")[2])
        with pytest.raises(Rejected):
            async with websocket(port):
                pass
        protocols = ["tandem", f"tandem.bearer.{secret}"]
        async with websocket(port, subprotocols=protocols) as client:
            with trio.fail_after(60):
                answer = await client.ask("offer", sdp=OFFER)
                assert "a=ice-lite" in answer["sdp"]
                session = answer["session"]
                trickle = {"fragment": "a=end-of-candidates\r\n", "ice": answer["ice"]}
                refused = await client.ask("trickle", **trickle, id=1)
                assert refused["id"] == 1
                restarted = await client.ask("restart", fragment=FRAGMENT)
                assert restarted["type"] == "restarted", restarted
                assert restarted["session"] == session
                closed = await client.hear()  # nobody has ever sent a check
                assert closed["type"] == "closed"
                assert (closed["session"], closed["reason"]) == (session, "connect_timeout")
                second = await client.ask("offer", sdp=OFFER)
                await client.say("hangup")
                heard = {(each := await client.hear())["type"]: each for _ in range(2)}
                assert heard["closed"]["reason"] == "hangup"
                assert heard["closed"]["session"] == second["session"]
        for hidden in (KEY, secret):
            assert hidden not in appliance.log()
