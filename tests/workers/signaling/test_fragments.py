"""PATCH of a session over a real server: which fragment gets which answer (RFC 9725, 4.3)."""

from __future__ import annotations

import pytest

from tests.support.signaling import FRAGMENT, ICE, OFFER, running_server
from tests.workers.signaling.test_api import CALLS, SDP, client_of, problem

SDPFRAG = "application/trickle-ice-sdpfrag"
END = "a=end-of-candidates\r\n"

endpoints = pytest.mark.parametrize("endpoint", [CALLS, "/whip/echo"])


@endpoints
async def test_the_answer_names_its_ice_credentials_and_takes_fragments(endpoint: str) -> None:
    async with running_server() as running, client_of(running) as client:
        created = await client.post(endpoint, content=OFFER, headers=SDP)
        assert created.headers["etag"] == f'"{ICE}"'
        assert created.headers["accept-patch"] == SDPFRAG


@endpoints
@pytest.mark.parametrize("if_match", [f'"{ICE}"', f'"other", "{ICE}"'])
async def test_trickle(endpoint: str, if_match: str) -> None:
    async with running_server() as running, client_of(running) as client:
        location = (await client.post(endpoint, content=OFFER, headers=SDP)).headers["location"]
        headers = {"content-type": SDPFRAG, "if-match": if_match}
        response = await client.patch(location, content=END, headers=headers)
        assert response.status_code == 204
        assert response.content == b""
        assert "etag" not in response.headers
        (patch,) = running.transceivers.patches
        assert patch.fragment == END
        assert ICE in patch.expected


@endpoints
@pytest.mark.parametrize("if_match", ["*", '"*"'])
async def test_restart(endpoint: str, if_match: str) -> None:
    async with running_server() as running, client_of(running) as client:
        location = (await client.post(endpoint, content=OFFER, headers=SDP)).headers["location"]
        headers = {"content-type": SDPFRAG, "if-match": if_match}
        response = await client.patch(location, content=END, headers=headers)
        assert response.status_code == 200
        assert response.headers["content-type"] == SDPFRAG
        assert response.headers["etag"] == '"ice-2"'
        assert response.headers["cache-control"] == "no-store"
        assert response.text == FRAGMENT
        assert running.transceivers.patches[0].expected == ()


@endpoints
@pytest.mark.parametrize(
    ("if_match", "body", "status", "slug"),
    [
        (None, END, 428, "if-match-missing"),
        ('"stale"', END, 412, "stale-ice"),
        ('W/"ice-1"', END, 412, "stale-ice"),
        ("ice-1", END, 412, "stale-ice"),
        ('"a", *', END, 412, "stale-ice"),
        ('"' + "x" * 65 + '"', END, 412, "stale-ice"),
        (", ".join(['"x"'] * 9), END, 412, "stale-ice"),
        (f'"{ICE}"', "", 400, "malformed-fragment"),
        (f'"{ICE}"', b"\xff", 400, "malformed-fragment"),
        (f'"{ICE}"', "x=not", 400, "malformed-fragment"),
    ],
)
async def test_what_cannot_be_heeded_says_why(
    endpoint: str, if_match: str | None, body: str | bytes, status: int, slug: str
) -> None:
    async with running_server() as running, client_of(running) as client:
        location = (await client.post(endpoint, content=OFFER, headers=SDP)).headers["location"]
        headers = {"content-type": SDPFRAG} | ({"if-match": if_match} if if_match else {})
        problem(await client.patch(location, content=body, headers=headers), status, slug)


@endpoints
async def test_a_second_offer_is_refused_in_so_many_words(endpoint: str) -> None:
    async with running_server() as running, client_of(running) as client:
        location = (await client.post(endpoint, content=OFFER, headers=SDP)).headers["location"]
        patched = await client.patch(location, content=OFFER, headers=SDP | {"if-match": "*"})
        body = problem(patched, 415, "unsupported-media-type")
        assert "one offer" in str(body["detail"])
        assert patched.headers["accept-patch"] == SDPFRAG
        for method in ("POST", "PUT"):
            refused = await client.request(method, location, content=OFFER, headers=SDP)
            body = problem(refused, 405, "method-not-allowed")
            assert "not renegotiated" in str(body["detail"])
            assert "PATCH" in refused.headers["allow"]
        assert not running.transceivers.patches


@endpoints
async def test_other_content_is_refused(endpoint: str) -> None:
    async with running_server() as running, client_of(running) as client:
        location = (await client.post(endpoint, content=OFFER, headers=SDP)).headers["location"]
        for kind in ("text/plain", ""):
            headers = {"content-type": kind, "if-match": "*"}
            refused = await client.patch(location, content=END, headers=headers)
            problem(refused, 415, "unsupported-media-type")


@endpoints
async def test_a_session_that_is_not_there(endpoint: str) -> None:
    async with running_server() as running, client_of(running) as client:
        location = (await client.post(endpoint, content=OFFER, headers=SDP)).headers["location"]
        running.transceivers.sessions.clear()
        headers = {"content-type": SDPFRAG, "if-match": "*"}
        for where in (location, f"{endpoint}/nonsense"):
            refused = await client.patch(where, content=END, headers=headers)
            problem(refused, 404, "unknown-session")
        running.transceivers.gone.update({"fake-0", "fake-1"})
        problem(await client.patch(location, content=END, headers=headers), 404, "unknown-session")


async def test_a_transceiver_that_does_not_answer() -> None:
    async with running_server() as running, client_of(running) as client:
        location = (await client.post(CALLS, content=OFFER, headers=SDP)).headers["location"]
        running.transceivers.silent.update({"fake-0", "fake-1"})
        headers = {"content-type": SDPFRAG, "if-match": "*"}
        problem(await client.patch(location, content=END, headers=headers), 504, "no-answer")


async def test_options_of_a_whip_session() -> None:
    async with running_server() as running, client_of(running) as client:
        location = (await client.post("/whip/echo", content=OFFER, headers=SDP)).headers["location"]
        options = await client.options(location)
        assert options.status_code == 204
        assert options.headers["accept-patch"] == SDPFRAG
        assert set(options.headers["allow"].split(", ")) == {"DELETE", "OPTIONS", "PATCH"}
