"""Who is believed on the reclaim socket: one who is what it says in every respect, and nobody else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import trio

from appliance.supervisor.core.interface import Adopted, ProcessId
from appliance.supervisor.keys import Keyring, UfragKeys
from appliance.supervisor.survivors import Survivors
from appliance.supervisor.terms import Terms
from config.ids import WorkerName
from config.model import Config
from ipc.messages.lifecycle import Ready
from tests.support.claimant import KEYS
from tests.support.quiet_log import LogLines
from tests.support.short_path import short_directory
from tests.support.tree import ROOT

directory = short_directory
RELAY = ProcessId(WorkerName("relay-0"), 7)


class Claimant:
    """A process that can claim to be RELAY."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.pid = process.pid
        self._process = process

    def claim(self, token: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(token.hex() + "\n")
        self._process.stdin.flush()


@contextmanager
def claimant(directory: Path, enters: int = RELAY.generation) -> Iterator[Claimant]:
    command = [sys.executable, "-m", "tests.support.claimant", str(directory), str(enters)]
    with subprocess.Popen(
        [*command, RELAY.name, str(RELAY.generation)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "here\n"
            yield Claimant(process)
        finally:
            process.kill()


class Hall:
    """Where claims are heard."""

    def __init__(self, directory: Path) -> None:
        self.lines = LogLines()
        self.survivors = Survivors(directory, self.lines.log)
        self.believed: list[Adopted] = []

    async def until(self, number: int) -> None:
        """So many have been believed or refused."""
        with trio.fail_after(20):
            while len(self.believed) + self.lines.events().count("claim refused") < number:
                await trio.sleep(0.01)


@asynccontextmanager
async def hall(directory: Path) -> AsyncIterator[Hall]:
    open_hall = Hall(directory)
    terms = Terms(Config(), Keyring(UfragKeys(KEYS, "0")))
    async with trio.open_nursery() as nursery:
        await nursery.start(open_hall.survivors.listen, open_hall.believed.append, terms)
        yield open_hall
        nursery.cancel_scope.cancel()
    for process in open_hall.survivors.processes.values():
        process.close()


async def test_who_is_what_it_says_is_believed(directory: Path) -> None:
    with claimant(directory) as relay:
        async with hall(directory) as open_hall:
            assert open_hall.survivors.living == {7: relay.pid}
            relay.claim(open_hall.survivors.invite(RELAY).token)
            await open_hall.until(1)
            (adopted,) = open_hall.believed
            assert (adopted.process, adopted.pid) == (RELAY, relay.pid)
            assert (adopted.ready, adopted.misfit) == (Ready(), "")
            ((process, claimed),) = open_hall.survivors.settle([RELAY])
            assert process == RELAY
            assert claimed.process.lives


@pytest.mark.parametrize("enters", [0, 8])
async def test_a_stranger_is_not(directory: Path, enters: int) -> None:
    """Not even one that knows what was said to the real one."""
    with claimant(directory) as relay, claimant(directory, enters) as stranger:
        async with hall(directory) as open_hall:
            token = open_hall.survivors.invite(RELAY).token
            stranger.claim(token)
            await open_hall.until(1)
            assert open_hall.believed == []
            relay.claim(token)
            await open_hall.until(2)
            assert [adopted.pid for adopted in open_hall.believed] == [relay.pid]


@pytest.mark.parametrize("invited", [True, False])
async def test_who_was_not_asked_on_the_control_socket_is_not(
    directory: Path, invited: bool
) -> None:
    with claimant(directory) as relay:
        async with hall(directory) as open_hall:
            if invited:
                open_hall.survivors.invite(RELAY)
            relay.claim(b"" if not invited else b"some other token")
            await open_hall.until(1)
            assert open_hall.believed == []


async def test_who_says_nothing_or_nonsense_holds_nobody_up(directory: Path) -> None:
    with claimant(directory) as relay:
        async with hall(directory) as open_hall:
            silent = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_SEQPACKET)
            noisy = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_SEQPACKET)
            with silent, noisy:
                await silent.connect(str(directory / "reclaim.sock"))
                await noisy.connect(str(directory / "reclaim.sock"))
                await noisy.send(b"nonsense")
                await open_hall.until(1)
                relay.claim(open_hall.survivors.invite(RELAY).token)
                await open_hall.until(2)
                assert len(open_hall.believed) == 1
                open_hall.survivors.settle([])


async def test_the_dead_are_not_waited_for(directory: Path) -> None:
    with claimant(directory):
        pass
    async with hall(directory) as open_hall:
        assert open_hall.survivors.living == {}
