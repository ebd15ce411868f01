"""RFC 9725 as a checklist: what it asks of end point and session, each asked of a real appliance."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.support.appliance import running_appliance
from tests.support.tree import ROOT

pytestmark = pytest.mark.process

OFFER: Final = (ROOT / "tests/fixtures/offers/chromium-audio.sdp").read_text(encoding="utf-8")
SDP: Final = "application/sdp"
MAX_SESSIONS: Final = 20
FRAGMENT: Final = "application/trickle-ice-sdpfrag"
RESTART: Final = (
    "a=ice-ufrag:abcd\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaaaa\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"
)
TRICKLE: Final = (
    "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"
    "a=candidate:1 1 udp 2130706431 192.0.2.7 4321 typ host\r\na=end-of-candidates\r\n"
)
Check = Callable[[httpx.AsyncClient], Awaitable[None]]
CHECKS: dict[str, Check] = {}


def requirement(section: str, text: str) -> Callable[[Check], Check]:
    def keep(check: Check) -> Check:
        CHECKS[f"{section} {text}"] = check
        return check

    return keep


async def create(http: httpx.AsyncClient) -> httpx.Response:
    return await http.post("/whip/echo", content=OFFER, headers={"content-type": SDP})


async def patch(
    http: httpx.AsyncClient, created: httpx.Response, content: str, **headers: str
) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    wanted = {"content-type": FRAGMENT} | named
    return await http.patch(created.headers["location"], content=content, headers=wanted)


def offered(name: str) -> str:
    found = re.search(rf"^a={name}:(\S+)", OFFER, re.MULTILINE)
    assert found
    return found[1]


@requirement("4.2", "201, the answer as application/sdp, the session in Location")
async def _(http: httpx.AsyncClient) -> None:
    created = await create(http)
    assert created.status_code == 201
    assert created.headers["content-type"].partition(";")[0] == SDP
    assert created.text.startswith("v=0\r\n")
    assert created.headers["location"]


@requirement("4.2", "anything but SDP is refused")
async def _(http: httpx.AsyncClient) -> None:
    refused = await http.post("/whip/echo", content="{}", headers={"content-type": "text/plain"})
    assert refused.status_code == 415


@requirement("4.2", "an offer that is no SDP is a bad request")
async def _(http: httpx.AsyncClient) -> None:
    assert (
        await http.post("/whip/echo", content="v=1", headers={"content-type": SDP})
    ).status_code == 400


@requirement("4.2", "GET, HEAD and PUT of the end point are reserved")
async def _(http: httpx.AsyncClient) -> None:
    for method in ("GET", "HEAD", "PUT"):
        assert (await http.request(method, "/whip/echo")).status_code == 405, method


@requirement("4.2", "GET, HEAD, POST and PUT of a session are reserved")
async def _(http: httpx.AsyncClient) -> None:
    session = (await create(http)).headers["location"]
    for method in ("GET", "HEAD", "POST", "PUT"):
        assert (await http.request(method, session)).status_code == 405, method


@requirement("4.2", "DELETE ends the session with 200, and it is gone")
async def _(http: httpx.AsyncClient) -> None:
    session = (await create(http)).headers["location"]
    assert (await http.delete(session)).status_code == 200
    assert (await http.delete(session)).status_code == 404


@requirement("4.2", "OPTIONS names what may be posted")
async def _(http: httpx.AsyncClient) -> None:
    options = await http.options("/whip/echo")
    assert options.status_code in (200, 204)
    assert options.headers["accept-post"] == SDP


@requirement("4.3", "OPTIONS of a session names what may be patched")
async def _(http: httpx.AsyncClient) -> None:
    session = (await create(http)).headers["location"]
    assert (await http.options(session)).headers["accept-patch"] == FRAGMENT


@requirement("4.3.1", "the 201 has a strong entity tag")
async def _(http: httpx.AsyncClient) -> None:
    assert re.fullmatch(r'"[^"]+"', (await create(http)).headers["etag"])


@requirement("4.3.1", "candidates with that tag are taken: 204, no body")
async def _(http: httpx.AsyncClient) -> None:
    created = await create(http)
    fragment = TRICKLE.format(offered("ice-ufrag"), offered("ice-pwd"))
    taken = await patch(http, created, fragment, if_match=created.headers["etag"])
    assert (taken.status_code, taken.content) == (204, b"")


@requirement("4.3.1", "without If-Match: 428")
async def _(http: httpx.AsyncClient) -> None:
    assert (await patch(http, await create(http), RESTART)).status_code == 428


@requirement("4.3.1", "with another tag: 412")
async def _(http: httpx.AsyncClient) -> None:
    assert (await patch(http, await create(http), RESTART, if_match='"another"')).status_code == 412


@requirement("4.3.1", "another content type: 415, and which one is taken")
async def _(http: httpx.AsyncClient) -> None:
    refused = await patch(http, await create(http), "{}", content_type="application/json")
    assert refused.status_code == 415
    assert refused.headers["accept-patch"] == FRAGMENT


@requirement("4.3.2", "a restart answers 200 with new credentials, candidates and a new tag")
async def _(http: httpx.AsyncClient) -> None:
    created = await create(http)
    restarted = await patch(http, created, RESTART, if_match='"*"')
    assert restarted.status_code == 200
    assert restarted.headers["content-type"].partition(";")[0] == FRAGMENT
    assert restarted.headers["etag"] != created.headers["etag"]
    ours = re.compile(r"a=ice-(?:ufrag|pwd):\S+")
    assert set(ours.findall(restarted.text)).isdisjoint(ours.findall(created.text))
    stale = await patch(http, created, RESTART, if_match=created.headers["etag"])
    assert stale.status_code == 412


@requirement("4.4", "the answer is of a lite agent or a full one that is passive or active")
async def _(http: httpx.AsyncClient) -> None:
    answer = (await create(http)).text
    assert re.search(r"^a=setup:(active|passive)\r$", answer, re.MULTILINE)
    assert "a=rtcp-mux\r\n" in answer
    assert re.search(r"^a=group:BUNDLE \S+", answer, re.MULTILINE)
    assert "a=candidate:" in answer


@requirement("4.5", "who has no room says 503, and when to come back")
async def _(http: httpx.AsyncClient) -> None:
    for _ in range(MAX_SESSIONS + 1):
        if (refused := await create(http)).status_code != 201:
            break
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 0


async def test_the_checklist(tmp_path: Path) -> None:
    transceiver = {"workers": 1, "max_sessions": MAX_SESSIONS}
    settings = {"relay": {"workers": 1}, "transceiver": transceiver}
    failed: dict[str, str] = {}
    async with (
        running_appliance(tmp_path, settings) as appliance,
        httpx.AsyncClient(base_url=appliance.url, trust_env=False) as http,
    ):
        for what, check in CHECKS.items():
            try:
                await check(http)
            except (AssertionError, KeyError) as error:
                failed[what] = f"{type(error).__name__}: {error}"
    assert failed == {}
    assert len(CHECKS) == 16
