"""Tokens of a provider over HTTP, beside keys: what they let their users do, and what not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from config.model import AuthSection
from tests.support.access import KEY, Keyring
from tests.support.identity import AUDIENCE, ISSUER, Provider
from tests.support.signaling import OFFER, Running, running_server
from tests.support.websocket import Rejected, websocket
from workers.http.problems import ProblemKind, Refused
from workers.signaling.access import Access, Locks
from workers.signaling.client_address import Client
from workers.signaling.key_sources import FileKeys
from workers.signaling.tokens import Tokens

CALLS = "/v1/realtime/calls"
SDP = {"content-type": "application/sdp"}


class Stage:
    """A provider, its file, and a server that believes it."""

    def __init__(self, directory: Path, **auth: Any) -> None:
        self.provider = Provider()
        file = directory / "set.json"
        file.write_text(self.provider.document())
        section = AuthSection(jwks_file=str(file), issuer=ISSUER, audience=AUDIENCE, **auth)
        self.keyring = Keyring(directory)
        own = self.keyring.access._locks
        assert own is not None
        tokens = Tokens(FileKeys(file, structlog.get_logger()), section)
        self.now = self.keyring.now
        self.both = Access(own._replace(tokens=tokens), now=lambda: self.now)
        self.alone = Access(Locks(own.clock, tokens=tokens), now=lambda: self.now)

    @asynccontextmanager
    async def serving(self, access: Access) -> AsyncIterator[tuple[Running, httpx.AsyncClient]]:
        async with running_server(access=access) as running:
            base = f"http://127.0.0.1:{running.port}"
            async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=60) as client:
                yield running, client
            assert running.server.guarded == 0


async def ask(
    client: httpx.AsyncClient, bearer: str, path: str = CALLS, content: str = OFFER
) -> httpx.Response:
    headers = SDP | {"authorization": f"Bearer {bearer}"}
    return await client.post(path, content=content, headers=headers)


async def test_what_a_token_says_reaches_the_back_end(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    granted = {"session": {"instructions": "be kind"}, "metadata": {"plan": "x"}, "idle_timeout": 9}
    token = stage.provider.token(email="a@example", tandem=granted | {"backend": "other"})
    async with stage.serving(stage.both) as (running, client):
        placed = await ask(client, token)
        assert placed.status_code == 201, placed.text
        (created,) = running.transceivers.sessions.values()
        assert (created.backend, created.idle_timeout) == ("other", 9.0)
        said = created.claims.pop("token")
        assert (said["email"], said["sub"]) == ("a@example", "alice")
        assert created.claims == {
            "session": granted["session"],
            "metadata": granted["metadata"],
            "key": "user:alice",
        }
        unknown = await ask(client, stage.provider.token(tandem={"backend": "nobody"}))
        assert unknown.status_code == 404


async def test_keys_and_tokens_beside_each_other_and_tokens_alone(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    token = stage.provider.token()
    secrets = "/v1/realtime/client_secrets"
    for access, with_key in ((stage.both, 201), (stage.alone, 401)):
        async with stage.serving(access) as (_, client):
            assert (await ask(client, KEY)).status_code == with_key
            assert (await ask(client, token)).status_code == 201
            assert (await ask(client, token, "/whip/echo")).status_code == 201
            assert (await ask(client, token + "x")).status_code == 401
            assert (await ask(client, "x")).status_code == 401
            # Its user calls; having secrets made is for servers.
            refused = await client.post(secrets, headers={"authorization": f"Bearer {token}"})
            assert refused.status_code == 403


async def test_a_call_outlives_its_token(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    token = stage.provider.token(exp=stage.now + 1)
    async with stage.serving(stage.both) as (_, client):
        placed = await ask(client, token)
        stage.keyring.now += 3600
        assert (await ask(client, token)).json()["detail"] == "the token has expired"
        hang_up = placed.headers["location"] + "/hangup"
        assert (await ask(client, token[:-8] + "AAAAAAAA", hang_up)).status_code == 401
        assert (await ask(client, token, hang_up)).status_code == 200


async def test_limits_are_of_each_user(tmp_path: Path) -> None:
    stage = Stage(tmp_path, sessions=2, calls_per_minute=3, backends=("echo",))
    alice, bob = stage.provider.token(), stage.provider.token(sub="bob")
    async with stage.serving(stage.both) as (_, client):
        assert (await ask(client, alice, CALLS + "?backend=other")).status_code == 403
        assert (await ask(client, alice)).status_code == 201
        placed = await ask(client, stage.provider.token(jti="another"))
        assert placed.status_code == 201
        refused = await ask(client, alice)
        assert refused.json()["detail"] == "at most 3 calls a minute by this user"
        stage.now += 60
        refused = await ask(client, alice)
        assert refused.json()["type"] == "urn:tandem:problem:quota"
        assert (await ask(client, bob)).status_code == 201


async def test_over_the_websocket(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    async with stage.serving(stage.both) as (running, _):
        for token, taken in (
            (stage.provider.token(), True),
            (stage.provider.token(iss="x"), False),
        ):
            protocols = ["tandem", f"tandem.bearer.{token}"]
            if taken:
                async with websocket(running.port, subprotocols=protocols) as client:
                    answer = await client.ask("offer", sdp=OFFER)
                    assert answer["type"] == "answer", answer
            else:
                with pytest.raises(Rejected):
                    async with websocket(running.port, subprotocols=protocols):
                        pass


async def test_a_user_attends_calls_of_his_own_while_the_token_is_good(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    client = Client(ip_address("192.0.2.1"), forwarded=False)
    token = stage.provider.token()
    assert await stage.alone.attend(token, client) == "user:alice"
    stage.keyring.now += 3600
    with pytest.raises(Refused) as refused:
        await stage.alone.attend(token, client)
    assert refused.value.kind is ProblemKind.UNAUTHORIZED
