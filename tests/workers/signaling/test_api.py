"""The HTTP interface over a real server: what clients send, what they get."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from ipc.messages.routes import Transceivers
from ipc.messages.sessions import Problem, SessionRefused
from tests.support.signaling import ANSWER, OFFER, Running, entry, running_server, with_limits

CALLS = "/v1/realtime/calls"
SDP = {"content-type": "application/sdp"}


@asynccontextmanager
async def client_of(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    base = f"http://127.0.0.1:{running.port}"
    async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=60) as client:
        yield client


def problem(response: httpx.Response, status: int, slug: str) -> dict[str, object]:
    """The problem+json body, checked."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, object] = response.json()
    assert body["type"] == f"urn:tandem:problem:{slug}"
    assert body["status"] == status
    return body


async def test_a_call_from_offer_to_hang_up() -> None:
    async with running_server() as running, client_of(running) as client:
        response = await client.post(CALLS, content=OFFER, headers=SDP)
        assert response.status_code == 201
        assert response.headers["content-type"] == "application/sdp"
        assert response.text == ANSWER
        location = response.headers["location"]
        assert location.startswith(f"{CALLS}/rtc_7_")
        assert [*running.transceivers.sessions] == [location.rpartition("/")[2]]
        assert (await client.post(f"{location}/hangup")).status_code == 200
        assert not running.transceivers.sessions
        problem(await client.post(f"{location}/hangup"), 404, "unknown-session")


@pytest.mark.parametrize("as_file", [True, False])
async def test_the_multipart_shape_of_the_realtime_api(as_file: bool) -> None:
    session = json.dumps({"type": "realtime", "model": "gpt-realtime", "audio": {}})
    parts: dict[str, tuple[str | None, str, str]] = {
        "sdp": ("offer.sdp" if as_file else None, OFFER, "application/sdp"),
        "session": (None, session, "application/json"),
    }
    async with running_server() as running, client_of(running) as client:
        response = await client.post(CALLS, files=parts)
        assert response.status_code == 201, response.text
        (created,) = running.transceivers.sessions.values()
        assert created.offer == OFFER
        assert created.backend == "echo"
        assert created.claims == {"session": json.loads(session)}
        assert created.user_agent.startswith("python-httpx")


async def test_the_back_end_by_query_or_model() -> None:
    async with running_server() as running, client_of(running) as client:
        for query, session in (("?backend=other", {}), ("?model=other", {}), ("", "other")):
            parts: dict[str, tuple[None, str]] = {"sdp": (None, OFFER)}
            parts["session"] = (None, json.dumps({"model": session}))
            response = await client.post(CALLS + query, files=parts)
            assert response.status_code == 201, response.text
            *_, created = running.transceivers.sessions.values()
            assert created.backend == "other"
        response = await client.post(CALLS + "?backend=nobody", content=OFFER, headers=SDP)
        assert "'nobody'" in str(problem(response, 404, "unknown-backend")["detail"])


@pytest.mark.parametrize(
    ("body", "content_type", "status", "slug", "detail"),
    [
        (b"", "application/sdp", 400, "malformed-sdp", "empty"),
        (b" \r\n", "application/sdp", 400, "malformed-sdp", "empty"),
        (b"v=0\r\n\xff", "application/sdp", 400, "malformed-sdp", "byte 5"),
        (b"hello", "application/sdp", 400, "malformed-sdp", "line 1"),
        (b"{}", "application/json", 415, "unsupported-media-type", "application/json"),
        (b"v=0", "", 415, "unsupported-media-type", "no content type"),
        (b"junk", "multipart/form-data", 400, "malformed-request", "multipart"),
        (b"junk", "multipart/form-data; boundary=b", 400, "malformed-request", "multipart"),
        (
            # Decoding this takes time that grows with its square.
            b'--b\r\nContent-Disposition: form-data; name="sdp"\r\n\r\nv=0\r\n--b--\r\n',
            "multipart/form-data; boundary=b; charset=punycode",
            400,
            "malformed-request",
            "charset 'punycode'",
        ),
        (
            b'--b\r\nContent-Disposition: form-data; name="other"\r\n\r\nv=0\r\n--b--\r\n',
            "multipart/form-data; boundary=b",
            400,
            "malformed-request",
            "'sdp'",
        ),
        (
            (
                b'--b\r\nContent-Disposition: form-data; name="sdp"\r\n\r\nv=0\r\n'
                b'--b\r\nContent-Disposition: form-data; name="session"\r\n\r\n[1]\r\n--b--\r\n'
            ),
            "multipart/form-data; boundary=b",
            400,
            "malformed-request",
            "'session'",
        ),
        (
            b'--b\r\nContent-Disposition: form-data; name="sdp"\r\n\r\nv=0\r\n'
            b'--b\r\nContent-Disposition: form-data; name="session"\r\n\r\n'
            + b'{"a":' * 5000
            + b"\r\n--b--\r\n",
            "multipart/form-data; boundary=b",
            400,
            "malformed-request",
            "'session'",
        ),
    ],
)
async def test_what_was_wrong_is_named(
    body: bytes, content_type: str, status: int, slug: str, detail: str
) -> None:
    headers = {"content-type": content_type} if content_type else {}
    async with running_server() as running, client_of(running) as client:
        response = await client.post(CALLS, content=body, headers=headers)
        assert detail in str(problem(response, status, slug)["detail"])
        assert running.server.guarded == 0
        assert not running.transceivers.sessions


async def test_many_parts_are_refused() -> None:
    parts = {f"part{n}": (None, "x") for n in range(20)}
    async with running_server() as running, client_of(running) as client:
        problem(await client.post(CALLS, files=parts), 400, "malformed-request")


async def test_whip_from_offer_to_delete() -> None:
    async with running_server() as running, client_of(running) as client:
        options = await client.options("/whip/echo")
        assert options.status_code == 204
        assert options.headers["accept-post"] == "application/sdp"
        response = await client.post("/whip/other", content=OFFER, headers=SDP)
        assert response.status_code == 201
        assert response.headers["etag"].startswith('"')
        location = response.headers["location"]
        assert location.startswith("/whip/other/rtc_7_")
        (created,) = running.transceivers.sessions.values()
        assert created.backend == "other"
        refused = await client.put(location, content=b"a=x", headers={"if-match": "*"})
        problem(refused, 405, "method-not-allowed")
        assert set(refused.headers["allow"].split(", ")) >= {"DELETE"}
        assert (await client.delete(location)).status_code == 200
        problem(await client.delete(location), 404, "unknown-session")
        problem(
            await client.post("/whip/nobody", content=OFFER, headers=SDP), 404, "unknown-backend"
        )
        wrong = await client.post("/whip/echo", json={})
        problem(wrong, 415, "unsupported-media-type")
        assert wrong.headers["accept-post"] == "application/sdp"


async def test_nothing_in_common() -> None:
    async with running_server() as running, client_of(running) as client:
        refusal = SessionRefused(Problem.NOTHING_IN_COMMON, "offered: VP8, H264")
        running.transceivers.refusing = {"fake-0": refusal, "fake-1": refusal}
        response = await client.post(CALLS, content=OFFER, headers=SDP)
        assert problem(response, 422, "nothing-in-common")["detail"] == "offered: VP8, H264"


async def test_full_draining_and_silent() -> None:
    async with running_server() as running, client_of(running) as client:
        full = SessionRefused(Problem.FULL, "all 100 sessions of this transceiver are taken")
        running.transceivers.refusing |= {"fake-0": full, "fake-1": full}
        response = await client.post(CALLS, content=OFFER, headers=SDP)
        problem(response, 503, "full")
        assert int(response.headers["retry-after"]) > 0
        running.transceivers.refusing.clear()
        running.switchboard.update(Transceivers(entries=(entry(0),), draining=True))
        response = await client.post(CALLS, content=OFFER, headers=SDP)
        problem(response, 503, "draining")
        assert int(response.headers["retry-after"]) > 0
        running.switchboard.update(Transceivers(entries=(entry(0),)))
        running.transceivers.silent.add("fake-0")
        problem(await client.post(CALLS, content=OFFER, headers=SDP), 504, "no-answer")


async def test_health() -> None:
    async with running_server() as running, client_of(running) as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        assert (await client.get("/readyz")).json() == {"status": "ready"}
        running.switchboard.update(Transceivers(entries=()))
        problem(await client.get("/readyz"), 503, "not-ready")
        running.switchboard.update(Transceivers(entries=(entry(0),), draining=True))
        problem(await client.get("/readyz"), 503, "draining")
        assert (await client.get("/healthz")).status_code == 200


async def test_bodies_are_bounded_before_they_are_read() -> None:
    limits = with_limits(max_body=8192)
    async with running_server(limits=limits) as running, client_of(running) as client:
        response = await client.post(CALLS, content="v=0" + "x" * 9000, headers=SDP)
        assert "8192" in str(problem(response, 413, "too-large")["detail"])

        stream = await running.connect()
        await stream.send_all(
            b"POST /v1/realtime/calls HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/sdp\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" + (b"400\r\n" + b"x" * 1024 + b"\r\n") * 20
        )
        assert b" 413 " in await stream.receive_some()
        await stream.aclose()
        assert (await client.post(CALLS, content=OFFER, headers=SDP)).status_code == 201
        assert running.server.guarded == 0


async def test_unknown_addresses_and_methods() -> None:
    async with running_server() as running, client_of(running) as client:
        assert "/nowhere" in str(problem(await client.get("/nowhere"), 404, "not-found")["detail"])
        response = await client.get(CALLS)
        problem(response, 405, "method-not-allowed")
        assert response.headers["allow"] == "POST"
        problem(await client.get(CALLS + "/"), 404, "not-found")


async def test_no_other_page_may_read_us_unless_it_is_configured() -> None:
    origin = {"origin": "https://app.example"}
    preflight = {**origin, "access-control-request-method": "POST"}
    async with running_server() as running, client_of(running) as client:
        response = await client.post(CALLS, content=OFFER, headers=SDP | origin)
        assert "access-control-allow-origin" not in response.headers
    async with (
        running_server(cors_origins=("https://app.example",)) as running,
        client_of(running) as client,
    ):
        response = await client.post(CALLS, content=OFFER, headers=SDP | origin)
        assert response.headers["access-control-allow-origin"] == "https://app.example"
        exposed = response.headers["access-control-expose-headers"].lower()
        assert all(name in exposed for name in ("location", "etag", "link"))
        refused = await client.post(CALLS, content=b"x" * 70_000, headers=SDP | origin)
        problem(refused, 413, "too-large")
        assert refused.headers["access-control-allow-origin"] == "https://app.example"
        assert (await client.options(CALLS, headers=preflight)).status_code == 200
        other = {**preflight, "origin": "https://evil.example"}
        assert (await client.options(CALLS, headers=other)).status_code == 400


async def test_the_page_and_its_policy() -> None:
    async with running_server() as running, client_of(running) as client:
        for path, kind in (
            ("/", "text/html"),
            ("/app.js", "text/javascript"),
            ("/style.css", "text/css"),
            ("/icon.svg", "image/svg+xml"),
        ):
            response = await client.get(path)
            assert response.status_code == 200
            assert response.headers["content-type"].startswith(kind)
            assert "unsafe" not in response.headers["content-security-policy"]
            assert response.headers["x-content-type-options"] == "nosniff"
            assert "server" not in response.headers
            again = await client.get(path, headers={"if-none-match": response.headers["etag"]})
            assert again.status_code == 304
            assert again.content == b""
            head = await client.head(path)
            assert head.headers["content-length"] == str(len(response.content))
            assert head.content == b""
        page = (await client.get("/")).text
        assert "://" not in page.replace("http://www.w3.org", "")
        assert " style=" not in page
        assert "onclick" not in page


async def test_a_bug_is_a_500_and_stays_in_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_server() as running, client_of(running) as client:

        async def broken(*_: object, **__: object) -> object:
            raise ZeroDivisionError

        monkeypatch.setattr(running.switchboard, "create", broken)
        problem(await client.post(CALLS, content=OFFER, headers=SDP), 500, "internal-error")
        assert (await client.get("/healthz")).status_code == 200
        assert running.server.guarded == 1
        assert running.server.responses[500] == 1
