"""Keys and secrets over HTTP: who may place, change and end calls, and have secrets made."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from structlog.testing import capture_logs

from tests.support.access import KEY, OTHER_KEY, Keyring, line
from tests.support.signaling import FRAGMENT, OFFER, Running, running_server
from workers.http.problems import ProblemKind, Refused
from workers.signaling.access import Access, Gate, Locks, Own, bearer_of
from workers.signaling.client_address import Client, Proxies
from workers.signaling.grants import Grant
from workers.signaling.ledger import Ledger

HERE = Client(ip_address("127.0.0.1"), forwarded=False)
CALLS = "/v1/realtime/calls"
SECRETS = "/v1/realtime/client_secrets"
SDP = {"content-type": "application/sdp"}


def bearer(value: str) -> dict[str, str]:
    return {"authorization": f"Bearer {value}"}


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path)


@asynccontextmanager
async def serving(
    access: Access, *cors_origins: str
) -> AsyncIterator[tuple[Running, httpx.AsyncClient]]:
    async with running_server(access=access, cors_origins=cors_origins) as running:
        base = f"http://127.0.0.1:{running.port}"
        async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=60) as client:
            yield running, client
        assert running.server.guarded == 0


async def secret(client: httpx.AsyncClient, **wanted: Any) -> str:
    response = await client.post(SECRETS, json=wanted, headers=bearer(KEY))
    assert response.status_code == 200, response.text
    value: str = response.json()["value"]
    return value


async def test_a_secret_as_the_realtime_api_makes_it(keyring: Keyring) -> None:
    session = {"type": "realtime", "model": "gpt-realtime", "audio": {"output": {"voice": "x"}}}
    async with serving(keyring.access) as (_, client):
        wanted = {"expires_after": {"anchor": "created_at", "seconds": 60}, "session": session}
        response = await client.post(SECRETS, json=wanted, headers=bearer(KEY))
        assert response.status_code == 200
        body = response.json()
        assert body["value"].startswith("ek_")
        assert body["expires_at"] == int(keyring.now) + 60
        assert body["session"] == session
        assert response.headers["cache-control"] == "no-store"
        plain = await client.post(SECRETS, headers=bearer(KEY))
        assert plain.json()["expires_at"] == int(keyring.now) + 600


async def test_what_the_secret_says_reaches_the_back_end(keyring: Keyring) -> None:
    async with serving(keyring.access) as (running, client):
        value = await secret(
            client,
            session={"instructions": "be kind"},
            metadata={"user": "u-7"},
            backend="other",
            max_duration=90,
            idle_timeout=5.5,
        )
        asked = json.dumps({"instructions": "be rude", "audio": {}})
        parts: dict[str, tuple[None, str]] = {"sdp": (None, OFFER), "session": (None, asked)}
        response = await client.post(CALLS, files=parts, headers=bearer(value))
        assert response.status_code == 201
        (created,) = running.transceivers.sessions.values()
        assert created.backend == "other"
        assert (created.max_duration, created.idle_timeout) == (90.0, 5.5)
        assert len(created.claims.pop("secret")) == 24
        assert created.claims == {
            "session": {"instructions": "be kind", "audio": {}},
            "metadata": {"user": "u-7"},
            "key": "shop",
        }
        other = await client.post("/whip/echo", content=OFFER, headers=SDP | bearer(value))
        assert other.status_code == 403
        assert other.json()["type"] == "urn:tandem:problem:forbidden"


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", f"Basic {KEY}", KEY, f"Bearer {OTHER_KEY}", "Bearer ek_a.b.c"],
)
async def test_a_stranger_is_let_in_nowhere(keyring: Keyring, authorization: str | None) -> None:
    async with serving(keyring.access, "https://app.example") as (running, client):
        placed = await client.post(CALLS, content=OFFER, headers=SDP | bearer(KEY))
        session = placed.headers["location"].rpartition("/")[2]
        headers = SDP | {"origin": "https://app.example"}
        if authorization is not None:
            headers["authorization"] = authorization
        fragment = headers | {"content-type": "application/trickle-ice-sdpfrag", "if-match": "*"}
        for response in (
            await client.post(CALLS, content=OFFER, headers=headers),
            await client.post(CALLS, content="not even an offer", headers=headers),
            await client.post("/whip/echo", content=OFFER, headers=headers),
            await client.post(SECRETS, json={}, headers=headers),
            await client.post(f"{CALLS}/{session}/hangup", headers=headers),
            await client.delete(f"/whip/echo/{session}", headers=headers),
            await client.patch(f"{CALLS}/{session}", content=FRAGMENT, headers=fragment),
            await client.patch(f"/whip/echo/{session}", content=FRAGMENT, headers=fragment),
        ):
            assert response.status_code == 401, response.request.url
            assert response.json()["type"] == "urn:tandem:problem:unauthorized"
            assert response.headers["www-authenticate"].startswith("Bearer realm=")
            assert response.headers["access-control-allow-origin"] == "https://app.example"
        assert len(running.transceivers.sessions) == 1
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/")).status_code == 200


async def test_an_expired_secret_places_no_call_and_ends_its_own(keyring: Keyring) -> None:
    async with serving(keyring.access) as (running, client):
        value = await secret(client, expires_after={"seconds": 10})
        placed = await client.post(CALLS, content=OFFER, headers=SDP | bearer(value))
        assert placed.status_code == 201
        keyring.now += 9
        again = await client.post(CALLS, content=OFFER, headers=SDP | bearer(value))
        assert again.status_code == 201
        keyring.now += 1
        replayed = await client.post(CALLS, content=OFFER, headers=SDP | bearer(value))
        assert replayed.status_code == 401
        assert "expired" in replayed.json()["detail"]
        assert len(running.transceivers.sessions) == 2
        end = await client.post(placed.headers["location"] + "/hangup", headers=bearer(value))
        assert end.status_code == 200


async def test_a_secret_is_no_use_elsewhere(keyring: Keyring) -> None:
    app = {"origin": "https://app.example"}
    async with serving(keyring.access, "*") as (running, client):
        for audience in ({"origins": [app["origin"]]}, {"clusters": [0, 7]}):
            value = await secret(client, single_use=True, **audience)
            strange = SDP | bearer(value) | {"origin": "https://evil.example"}
            if "origins" in audience:
                for headers in (strange, SDP | bearer(value)):
                    refused = await client.post(CALLS, content=OFFER, headers=headers)
                    assert refused.status_code == 403, refused.text
                    assert "origins" in refused.json()["detail"]
            # What was refused has not used it up.
            placed = await client.post(CALLS, content=OFFER, headers=SDP | bearer(value) | app)
            assert placed.status_code == 201, placed.text
        other = await secret(client, clusters=[7, 8])
        refused = await client.post(CALLS, content=OFFER, headers=SDP | bearer(other))
        assert refused.status_code == 403
        assert "clusters" in refused.json()["detail"]
        assert len(running.transceivers.sessions) == 2
    there = Access(
        Locks(lambda: keyring.now, Own(keyring.keys, keyring.secrets, Ledger())), Gate(cluster=7)
    )
    assert (await there.admit(other, HERE)).grant.clusters == (7, 8)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 201),
        ({"origin": "http://127.0.0.1:{port}"}, 201),
        ({"origin": "https://app.example"}, 201),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"host": "evil.example:{port}", "origin": "http://evil.example:{port}"}, 401),
    ],
)
async def test_a_page_of_others_does_not_call_as_this_machine(
    headers: dict[str, str], status: int
) -> None:
    """A form needs no consent of ours to be sent, nor does a name that points here (DNS rebinding)."""
    access = Access(gate=Gate(origins=frozenset({"https://app.example"})))
    async with serving(access) as (running, client):
        sent = {name: value.format(port=running.port) for name, value in headers.items()}
        parts: dict[str, tuple[None, str]] = {"sdp": (None, OFFER)}
        response = await client.post(CALLS, files=parts, headers=sent)
        assert response.status_code == status, response.text


async def test_a_secret_makes_no_secrets(keyring: Keyring) -> None:
    async with serving(keyring.access) as (_, client):
        value = await secret(client)
        response = await client.post(SECRETS, json={}, headers=bearer(value))
        assert response.status_code == 403


async def test_a_key_that_is_withdrawn_takes_its_secrets_along(keyring: Keyring) -> None:
    async with serving(keyring.access) as (_, client):
        value = await secret(client)
        keyring.write(line("crm", OTHER_KEY))
        for each in (value, KEY):
            refused = await client.post(CALLS, content=OFFER, headers=SDP | bearer(each))
            assert refused.status_code == 401
        assert (await client.post(SECRETS, headers=bearer(OTHER_KEY))).status_code == 200


@pytest.mark.parametrize(
    ("wanted", "status", "detail"),
    [
        (b"[]", 400, "the request"),
        (b'{"expires_after": {"seconds": 9}}', 400, "seconds"),
        (b'{"expires_after": {"seconds": 7201}}', 400, "seconds"),
        (b'{"expires_after": {"anchor": "never"}}', 400, "anchor"),
        (b'{"max_duraton": 60}', 400, "max_duraton"),
        (b'{"max_duration": -1}', 400, "max_duration"),
        (b'{"origins": ["https://app.example/"]}', 400, "origins"),
        (b'{"origins": "https://app.example"}', 400, "origins"),
        (b'{"clusters": [65536]}', 400, "clusters"),
        (b'{"backend": "nobody"}', 404, "nobody"),
        (b'{"session": ' + b'{"a":' * 40 + b"1" + b"}" * 40 + b"}", 400, "inside each other"),
        (b'{"metadata": {"a": "' + b"x" * 9000 + b'"}}', 413, "at most"),
    ],
)
async def test_what_is_no_request_for_a_secret(
    keyring: Keyring, wanted: bytes, status: int, detail: str
) -> None:
    async with serving(keyring.access) as (_, client):
        headers = bearer(KEY) | {"content-type": "application/json"}
        response = await client.post(SECRETS, content=wanted, headers=headers)
        assert response.status_code == status, response.text
        assert detail in response.json()["detail"]
        plain = headers | {"content-type": "text/plain"}
        assert (await client.post(SECRETS, content=wanted, headers=plain)).status_code == 415


async def test_nothing_secret_is_written_down(keyring: Keyring) -> None:
    with capture_logs() as logs:
        async with serving(keyring.access) as (_, client):
            value = await secret(client)
            for each in (KEY, value, value + "x", OTHER_KEY):
                response = await client.post(CALLS, content=OFFER, headers=SDP | bearer(each))
                assert each not in response.text + str(response.headers)
    assert not logs
    assert KEY not in repr(keyring.access)


async def test_without_keys_anybody_may_call_and_there_are_no_secrets() -> None:
    async with serving(Access()) as (_, client):
        headers = SDP | bearer("anything")
        assert (await client.post(CALLS, content=OFFER, headers=headers)).status_code == 201
        assert (await client.post(SECRETS, headers=headers)).status_code == 403


@pytest.mark.parametrize(
    ("header", "found"),
    [("Bearer a", "a"), ("bearer  a ", "a"), ("BEARER a b", "a b"), ("a", ""), ("", "")],
)
def test_the_bearer_of_a_header(header: str, found: str) -> None:
    assert bearer_of({"authorization": header}) == found


async def test_a_refusal_says_what_to_send(keyring: Keyring) -> None:
    with pytest.raises(Refused) as refused:
        await keyring.access.admit("", HERE)
    assert refused.value.kind is ProblemKind.UNAUTHORIZED
    assert refused.value.response_headers["www-authenticate"] == 'Bearer realm="tandem"'


def restricted(**fields: str) -> str:
    """A table of the file of keys."""
    lines = [f'[shop]\nhash = "sha256:{sha256(KEY.encode()).hexdigest()}"']
    return "\n".join([*lines, *(f"{name} = {value}" for name, value in fields.items())])


async def place(client: httpx.AsyncClient, value: str, **headers: str) -> httpx.Response:
    authorization = bearer(value) if value else {}
    return await client.post(CALLS, content=OFFER, headers=SDP | authorization | headers)


async def test_a_key_for_secrets_places_no_calls_and_its_secrets_do(keyring: Keyring) -> None:
    keyring.write(restricted(scopes='["secrets"]'))
    async with serving(keyring.access) as (_, client):
        refused = await place(client, KEY)
        assert refused.status_code == 403
        assert "not for calls" in refused.json()["detail"]
        value = await secret(client)
        assert (await place(client, value)).status_code == 201
        keyring.write(restricted(scopes='["calls"]'))
        assert (await place(client, KEY)).status_code == 201
        assert (await place(client, value)).status_code == 403
        assert (await client.post(SECRETS, headers=bearer(KEY))).status_code == 403


async def test_a_key_for_one_back_end(keyring: Keyring) -> None:
    keyring.write(restricted(backends='["other"]'))
    async with serving(keyring.access) as (_, client):
        assert (await place(client, KEY)).status_code == 403  # the default is another one
        asked = await client.post(
            f"{CALLS}?backend=other", content=OFFER, headers=SDP | bearer(KEY)
        )
        assert asked.status_code == 201
        refused = await client.post(SECRETS, json={"backend": "echo"}, headers=bearer(KEY))
        assert refused.status_code == 403
        value = await secret(client, backend="other")
        assert (await place(client, value)).status_code == 201


async def test_calls_at_a_time(keyring: Keyring) -> None:
    keyring.write(restricted(sessions="2"))
    async with serving(keyring.access) as (running, client):
        value = await secret(client)
        assert (await place(client, KEY)).status_code == 201
        placed = await place(client, value)
        assert placed.status_code == 201
        refused = await place(client, KEY)
        assert refused.status_code == 429
        assert refused.json()["type"] == "urn:tandem:problem:quota"
        assert refused.headers["retry-after"]
        await client.post(placed.headers["location"] + "/hangup", headers=bearer(KEY))
        assert (await place(client, KEY)).status_code == 201
        assert len(running.transceivers.sessions) == 2


async def test_not_even_at_once(keyring: Keyring) -> None:
    keyring.write(restricted(sessions="2"))
    async with serving(keyring.access) as (running, client):
        running.transceivers.delay = 0.05
        codes: list[int] = []

        async def one() -> None:
            codes.append((await place(client, KEY)).status_code)

        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(one)
        assert codes.count(201) <= 2
        assert set(codes) <= {201, 429}


async def test_calls_in_a_minute_by_key(keyring: Keyring) -> None:
    keyring.write(restricted(calls_per_minute="2"))
    async with serving(keyring.access) as (_, client):
        value = await secret(client)
        assert [(await place(client, KEY)).status_code for _ in range(2)] == [201, 201]
        refused = await place(client, value)
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "30"
        keyring.now += 30
        assert (await place(client, value)).status_code == 201


async def test_a_secret_for_one_call(keyring: Keyring) -> None:
    async with serving(keyring.access) as (_, client):
        value = await secret(client, single_use=True)
        placed = await place(client, value)
        assert placed.status_code == 201
        again = await place(client, value)
        assert again.status_code == 401
        assert "for one call" in again.json()["detail"]
        hang_up = await client.post(placed.headers["location"] + "/hangup", headers=bearer(value))
        assert hang_up.status_code == 200  # its own call it may still end


async def test_without_keys_only_this_machine_may_call() -> None:
    gate = Gate(proxies=Proxies(["127.0.0.1"]))
    async with serving(Access(gate=gate)) as (_, client):
        assert (await place(client, "")).status_code == 201
        for forwarded in ("192.0.2.7", "127.0.0.1"):  # who uses a proxy is not here
            refused = await place(client, "", **{"x-forwarded-for": forwarded})
            assert refused.status_code == 401
            assert "this machine only" in refused.json()["detail"]
    async with serving(Access(gate=Gate(anonymous=True))) as (_, client):
        assert (await place(client, "", **{"x-forwarded-for": "192.0.2.7"})).status_code == 201


async def test_calls_in_a_minute_by_address() -> None:
    now = 0.0
    gate = Gate(anonymous=True, calls_per_minute=2, proxies=Proxies(["127.0.0.0/8"]))
    async with serving(Access(gate=gate, now=lambda: now)) as (_, client):
        them, others = {"x-forwarded-for": "192.0.2.7"}, {"x-forwarded-for": "192.0.2.8"}
        assert [(await place(client, "", **them)).status_code for _ in range(3)] == [201, 201, 429]
        assert (await place(client, "", **others)).status_code == 201
        now = 30.0
        assert (await place(client, "", **them)).status_code == 201
        # This machine itself, or a proxy that is not known for one, has no limit.
        assert {(await place(client, "")).status_code for _ in range(5)} == {201}


async def test_guessing_keys_is_slow(keyring: Keyring) -> None:
    gate = Gate(calls_per_minute=3, proxies=Proxies(["127.0.0.0/8"]))
    access = Access(keyring.access._locks, gate)
    async with serving(access) as (_, client):
        tried = [
            (await place(client, "x" * 40, **{"x-forwarded-for": "192.0.2.7"})).status_code
            for _ in range(5)
        ]
    assert tried == [401, 401, 401, 429, 429]


async def test_who_may_attend_a_call(keyring: Keyring) -> None:
    assert await keyring.access.attend(KEY, HERE) == "shop"
    secret = keyring.access.mint(Grant(key="shop"), Grant(), 60).value
    for value, kind in (
        ("", ProblemKind.UNAUTHORIZED),
        ("x" * 40, ProblemKind.UNAUTHORIZED),
        (secret, ProblemKind.FORBIDDEN),
    ):
        with pytest.raises(Refused) as refused:
            await keyring.access.attend(value, HERE)
        assert refused.value.kind is kind
    afar = Client(ip_address("192.0.2.1"), forwarded=False)
    assert await Access().attend("", HERE) == ""
    assert await Access(gate=Gate(anonymous=True)).attend("", afar) == ""
    with pytest.raises(Refused) as refused:
        await Access().attend("", afar)
    assert refused.value.kind is ProblemKind.UNAUTHORIZED
