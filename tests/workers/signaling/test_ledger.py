"""A client secret for one call is spent once, whatever becomes of the process that took it."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import structlog
import trio

from ipc.messages import Message
from ipc.messages.fleet import SecretSpent, SpendSecret
from ipc.rpc import RpcServer
from tests.support.appliance import TREE
from workers.signaling import ledger
from workers.signaling.ledger import FILE, Ledger
from workers.signaling.spent import KEPT

NOW = 1_800_000_000.0
DYING = """
import os, signal, sys, trio
from pathlib import Path
from workers.signaling.ledger import Ledger
assert trio.run(Ledger(Path(sys.argv[1])).spend, "a", float(sys.argv[2]))
os.kill(os.getpid(), signal.SIGKILL)
"""


@asynccontextmanager
async def desk(tmp_path: Path, reply: SecretSpent | None) -> AsyncIterator[tuple[str, list[str]]]:
    """A fleet worker's, which answers that, or never."""
    asked: list[str] = []

    async def answer(request: Message) -> Message:
        assert isinstance(request, SpendSecret)
        asked.append(request.secret)
        if reply is None:
            await trio.sleep_forever()
        return reply

    endpoint = f"ipc://{tmp_path}/desk"
    with RpcServer(endpoint, log=structlog.get_logger()) as server:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve, answer)
            yield endpoint, asked
            nursery.cancel_scope.cancel()


async def test_this_process_knows() -> None:
    with closing(Ledger()) as own:
        assert [await own.spend("a", NOW), await own.spend("a", NOW)] == [True, False]
        assert own.counters == {"spent": 1, "again": 1}


async def test_two_processes_at_a_time_share_it(tmp_path: Path) -> None:
    """As in a roll: the old one still answers what is open."""
    with closing(Ledger(tmp_path / FILE)) as old, closing(Ledger(tmp_path / FILE)) as new:
        assert await old.spend("a", NOW)
        assert not await new.spend("a", NOW)
        assert await new.spend("b", NOW)
        assert not await old.spend("b", NOW)


async def test_a_process_that_was_killed_has_written_it_down(tmp_path: Path) -> None:
    file = tmp_path / FILE
    command = [sys.executable, "-c", DYING, os.fspath(file), str(NOW)]
    done = await trio.to_thread.run_sync(lambda: subprocess.run(command, cwd=TREE, check=False))
    assert done.returncode == -signal.SIGKILL
    with closing(Ledger(file)) as successor:
        assert not await successor.spend("a", NOW + 1.0)
        assert await successor.spend("b", NOW + 1.0)


async def test_what_nobody_could_use_any_more_is_forgotten(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path / FILE)) as own:
        assert await own.spend("a", NOW)
        assert await own.spend("b", NOW + KEPT + 1.0)
    with closing(sqlite3.connect(tmp_path / FILE)) as database:
        assert database.execute("SELECT secret FROM spent").fetchall() == [("b",)]


async def test_the_file_does_not_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MAX_SPENT", 2)
    with closing(Ledger(tmp_path / FILE)) as own:
        assert [await own.spend(name, NOW) for name in "abc"] == [True, True, False]
        assert await own.spend("d", NOW + KEPT + 1.0)


async def test_a_file_that_cannot_be_used_leaves_the_process_its_own_word(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database " * 100)
    with closing(Ledger(tmp_path / FILE)) as own:
        assert [await own.spend("a", NOW), await own.spend("a", NOW)] == [True, False]
        assert own.counters == {"file_failed": 1, "spent": 1, "again": 1}


async def test_another_host_has_spent_it(tmp_path: Path) -> None:
    async with desk(tmp_path, SecretSpent(True, first=False)) as (endpoint, asked):
        with closing(Ledger(fleet=endpoint)) as own:
            assert not await own.spend("a", NOW)
            assert not await own.spend("a", NOW)
    assert asked == ["a"]


@pytest.mark.parametrize("reply", [SecretSpent(False), None], ids=["no redis", "no answer"])
async def test_a_fleet_that_does_not_answer_holds_no_call_up(
    tmp_path: Path, reply: SecretSpent | None
) -> None:
    async with desk(tmp_path, reply) as (endpoint, asked):
        with closing(Ledger(fleet=endpoint)) as own:
            assert [await own.spend("a", NOW), await own.spend("a", NOW)] == [True, False]
            assert own.counters == {"fleet_silent": 1, "spent": 1, "again": 1}
    assert asked == ["a"]


async def test_nobody_at_the_desk(tmp_path: Path) -> None:
    with closing(Ledger(fleet=f"ipc://{tmp_path}/nobody")) as own:
        assert await own.spend("a", NOW)
        assert own.counters == {"fleet_silent": 1, "spent": 1}
