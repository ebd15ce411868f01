"""Tokens of an identity provider at a real appliance: keys rotated, damaged, away, while it runs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import trio

from tests.support.appliance import Appliance, running_appliance, write_config
from tests.support.identity import AUDIENCE, ISSUER, Provider
from tests.support.publishing import publishing
from tests.support.tree import ROOT

OFFER: Final = (ROOT / "tests/fixtures/offers/chromium-audio.sdp").read_text(encoding="utf-8")
AUTH: Final = {"issuer": ISSUER, "audience": AUDIENCE}

pytestmark = pytest.mark.process


def token(provider: Provider, **claims: Any) -> str:
    return provider.token(**{"exp": int(time.time()) + 300} | claims)


async def place(http: httpx.AsyncClient, bearer: str) -> int:
    headers = {"authorization": f"Bearer {bearer}", "content-type": "application/sdp"}
    answer = await http.post("/v1/realtime/calls", content=OFFER, headers=headers)
    return answer.status_code


async def tandem(*words: str, at: Appliance | None = None) -> subprocess.CompletedProcess[bytes]:
    environment: Mapping[str, str] = {}
    if at is not None:
        environment = {"RUNTIME_DIRECTORY": str(at.directory)}
    command = [sys.executable, "-m", "appliance.cli.main", *words]
    return await trio.run_process(
        command,
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        env=dict(environment),
        cwd=ROOT,
    )


async def test_a_file_of_keys_is_rotated_under_a_running_appliance(tmp_path: Path) -> None:
    provider, file = Provider("RS256", "a"), tmp_path / "set.json"
    file.write_text(provider.document())
    file.chmod(0o644)
    settings = {"auth": AUTH | {"jwks_file": str(file)}}
    async with (
        running_appliance(tmp_path, settings) as appliance,
        httpx.AsyncClient(base_url=appliance.url, trust_env=False, timeout=60) as http,
    ):
        old = token(provider)
        assert await place(http, old) == 201
        assert await place(http, token(provider, exp=int(time.time()) - 60)) == 401
        provider.rotate("EdDSA", "b")
        file.write_text(provider.document())
        assert await place(http, token(provider)) == 201
        assert await place(http, old) == 401
        # What is no key set changes nothing, at once or by a reload.
        file.write_text('{"keys": [{"kty": "RSA", "kid": "c", "n": "AQAB", "e": "AQAB"}, 5]}')
        assert await place(http, token(provider)) == 201
        done = await tandem("reload", "--json", at=appliance)
        assert done.returncode == 78, done
        assert b"keys[0].n: has 17 bits" in done.stdout + done.stderr
        assert b"keys[1]: is no object" in done.stdout + done.stderr
        assert await place(http, token(provider)) == 201
        assert "the last stays in force" in appliance.log()
        for hidden in (old, "alice"):
            assert hidden not in appliance.log()


async def test_published_keys_are_rotated_and_kept_while_the_provider_is_away(
    tmp_path: Path,
) -> None:
    provider = Provider("ES256", "a")
    async with publishing(provider.document()) as publisher:
        publisher.status = "503 Service Unavailable"
        settings = {"auth": AUTH | {"jwks_url": publisher.url}}
        async with (
            running_appliance(tmp_path, settings) as appliance,
            httpx.AsyncClient(base_url=appliance.url, trust_env=False, timeout=60) as http,
        ):
            assert await place(http, token(provider)) == 503  # and starts all the same
            publisher.status = "200 OK"
            with trio.fail_after(60):
                while await place(http, token(provider)) != 201:
                    await trio.sleep(0.5)
                old, publisher.body = token(provider), ""
                provider.rotate("RS256", "b")
                assert await place(http, token(provider)) == 401
                assert await place(http, old) == 201
                publisher.body = provider.document()
                while await place(http, token(provider)) != 201:
                    await trio.sleep(0.5)
            assert await place(http, old) == 401


async def test_it_does_not_start_with_keys_that_are_none(tmp_path: Path) -> None:
    secret, config = tmp_path / "set.json", tmp_path / "tandem.toml"
    secret.write_text(json.dumps({"keys": [{"kty": "oct", "k": "AAAA", "kid": "s"}, "x"]}))
    secret.chmod(0o600)
    directories = {f"{kind}_directory": str(tmp_path / kind) for kind in ("runtime", "state")}
    write = partial(write_config, config)
    write({"auth": {"jwks_file": "x", "jwks_url": "http://id.example/"}})
    done = await tandem("config", "check", str(config))
    assert done.returncode == 78
    for key in ("jwks_file", "jwks_url", "issuer", "audience"):
        assert f"auth.{key}: " in (done.stdout + done.stderr).decode(), done
    write({"auth": AUTH | {"jwks_file": str(secret)}, "supervisor": directories})
    done = await tandem("run", "-c", str(config))
    assert done.returncode == 78, done
    assert b"keys[0].k: is a secret" in done.stderr
    assert b"keys[1]: is no object" in done.stderr
    assert b"AAAA" not in done.stderr
