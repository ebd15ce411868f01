"""Keys from a file and from where they are published: rotated, damaged, away."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog
import trio
from structlog.testing import capture_logs

from tests.support.certificates import server_context
from tests.support.identity import Provider
from tests.support.publishing import Publisher, publishing
from workers.http.problems import ProblemKind, Refused
from workers.http_client import MAX_BODY
from workers.signaling import key_sources
from workers.signaling.key_sources import FileKeys, PublishedKeys

LOG = structlog.get_logger()


async def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    provider, file = Provider(kid="a"), tmp_path / "set.json"
    file.write_text(provider.document())
    keys = FileKeys(file, LOG)
    assert await keys.find("a")
    provider.rotate("EdDSA", "b")
    file.write_text(provider.document())
    assert await keys.find("b")
    assert await keys.find("a") is None
    file.write_text("{")
    assert await keys.find("b")


@asynccontextmanager
async def published(
    provider: Provider, tls: ssl.SSLContext | None = None, trust: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[Publisher, PublishedKeys]]:
    async with publishing(provider.document(), tls) as publisher, trio.open_nursery() as nursery:
        keys = PublishedKeys(publisher.url, LOG, trust)
        nursery.start_soon(keys.run)
        yield publisher, keys
        nursery.cancel_scope.cancel()


@pytest.fixture
def always_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_sources, "AGAIN", 0.0)


async def test_who_comes_first_waits_for_the_keys() -> None:
    async with published(Provider(kid="a")) as (publisher, keys):
        publisher.may_answer = trio.Event()
        found = []

        async def come() -> None:
            found.append(await keys.find("a"))

        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(come)
                await trio.testing.wait_all_tasks_blocked(0.01)
                publisher.may_answer.set()
        assert len([key for key in found if key]) == 3
        assert publisher.asked == 1


@pytest.mark.usefixtures("always_due")
async def test_a_new_key_is_asked_for() -> None:
    provider = Provider(kid="a")
    async with published(provider) as (publisher, keys):
        assert await keys.find("a")
        provider.rotate("RS256", "b")
        publisher.body = provider.document()
        assert await keys.find("b")
        assert await keys.find("a") is None


async def test_strangers_cannot_make_us_ask_often() -> None:
    async with published(Provider(kid="a")) as (publisher, keys):
        assert await keys.find("a")
        for number in range(50):
            assert await keys.find(f"made up {number}") is None
        assert publisher.asked == 1


@pytest.mark.usefixtures("always_due")
async def test_what_cannot_be_used_leaves_the_keys_in_force() -> None:
    async with published(Provider(kid="a")) as (publisher, keys):
        assert await keys.find("a")
        good, asked = publisher.body, publisher.asked
        with capture_logs() as logs:
            for status, body in (
                ("503 Service Unavailable", good),
                ("301 Moved Permanently\r\nlocation: http://127.0.0.1/", good),
                ("200 OK", "{}"),
                ("200 OK", " " * MAX_BODY + good),
                ("200 OK", good[:-4]),
            ):
                publisher.status, publisher.body = status, body
                assert await keys.find("b") is None
                assert await keys.find("a")
        assert publisher.asked > asked
        assert [line["why"].partition(": ")[2] or line["why"] for line in logs] == [
            "it answered 503",
            "it answered 301",
            'is no key set: {"keys": [...]}',
            f"the answer is longer than {MAX_BODY} bytes",
            "is not JSON",
        ]


@pytest.mark.usefixtures("always_due")
async def test_before_there_are_any_it_is_said_so() -> None:
    provider = Provider(kid="a")
    async with published(provider) as (publisher, keys):
        publisher.status = "500 Internal Server Error"
        with pytest.raises(Refused) as refused:
            await keys.find("a")
        assert refused.value.kind is ProblemKind.KEYS_AWAY
        assert refused.value.response_headers["retry-after"]
        publisher.status = "200 OK"
        assert await keys.find("a")


async def test_only_who_is_certified_is_believed(tmp_path: Path) -> None:
    server, trust = server_context(tmp_path, "127.0.0.1")
    async with published(Provider(kid="a"), server, trust) as (_, keys):
        assert await keys.find("a")
    with capture_logs() as logs:
        async with published(Provider(kid="a"), server) as (_, keys):
            with pytest.raises(Refused):
                await keys.find("a")
    assert "no TLS there (CERTIFICATE_VERIFY_FAILED)" in str(logs)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", 300.0),
        ("public, max-age=600, must-revalidate", 600.0),
        ("MAX-AGE=1", 60.0),
        ("max-age=999999", 3600.0),
        ("s-max-age=600", 300.0),
        ("max-age=soon", 300.0),
    ],
)
def test_how_long_an_answer_is_good(header: str, seconds: float) -> None:
    assert key_sources._freshness({"cache-control": header}) == seconds
