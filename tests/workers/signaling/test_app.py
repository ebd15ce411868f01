"""What the application adds to every response: headers, and CORS as configured."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
import pytest

from ipc.messages.routes import Transceivers
from tests.support.signaling import KEYS, OFFER, FakeTransceivers, entry
from workers.signaling.app import make_application
from workers.signaling.switchboard import Switchboard

CALLS = "/v1/realtime/calls"
APP = "https://app.example"


def client(*cors_origins: str) -> httpx.AsyncClient:
    switchboard = Switchboard(KEYS, FakeTransceivers(), answer_within=10)
    switchboard.update(Transceivers((entry(1),)))
    transport = httpx.ASGITransport(app=make_application(switchboard, cors_origins))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


@pytest.mark.parametrize("allowed", [[APP], ["https://b.example", APP], ["*"]])
async def test_a_page_of_an_allowed_origin_may_call_and_read_where_it_is(
    allowed: Sequence[str],
) -> None:
    async with client(*allowed) as browser:
        asked = {
            "origin": APP,
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type,authorization",
        }
        preflight = await browser.options(CALLS, headers=asked)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] in (APP, "*")
        sdp = {"origin": APP, "content-type": "application/sdp"}
        placed = await browser.post(CALLS, content=OFFER, headers=sdp)
        assert placed.status_code == 201
        assert placed.headers["access-control-allow-origin"] in (APP, "*")
        assert "location" in placed.headers["access-control-expose-headers"]
        gone = await browser.delete("/whip/echo/rtc_7_x", headers={"origin": APP})
        assert gone.status_code == 404
        assert gone.headers["access-control-allow-origin"] in (APP, "*")


@pytest.mark.parametrize("allowed", [[], [APP]])
async def test_a_page_of_another_origin_may_not(allowed: Sequence[str]) -> None:
    async with client(*allowed) as browser:
        evil = {"origin": "https://evil.example", "access-control-request-method": "POST"}
        preflight = await browser.options(CALLS, headers=evil)
        assert preflight.status_code >= 400
        assert "access-control-allow-origin" not in preflight.headers


async def test_every_response_forbids_guessing() -> None:
    async with client() as browser:
        for path in ("/", "/healthz", "/nothing", CALLS):
            assert (await browser.get(path)).headers["x-content-type-options"] == "nosniff"
