"""Some `tandem call` at work against an appliance."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from tests.support.appliance import TREE, Appliance
from tests.support.child import child

CALLS = 3


LONG = 600.0
"""Seconds: longer than any test, on any machine."""


class Calls:
    """`tandem call` at work; `report` has its measurements when the block is over."""

    def __init__(self, process: trio.Process) -> None:
        self.report: dict[str, Any] = {}
        self._process = process
        self._over = False

    def hang_up(self) -> None:
        """End the calls now, in order."""
        if not self._over:  # a second signal would be less polite
            self._over = True
            self._process.terminate()

    async def end(self, more: float = 2.0, *, left: Appliance | None = None) -> None:
        """Hang up in so many seconds, unless it is done; wait until `left` has no session left."""
        if not self._over:
            await trio.sleep(more)
        self.hang_up()
        while left is not None and (await left.sessions()).rows:
            await trio.sleep(0.05)


def call_command(
    appliance: Appliance,
    seconds: float,
    count: int = CALLS,
    options: Sequence[str] = (),
    path: str = "/v1/realtime/calls",
) -> list[str]:
    """`tandem call` for some calls of that length, to be run in TREE."""
    command = [sys.executable, "-m", "appliance.cli.main", "call"]
    command += [appliance.url + path, "--count", str(count), "--json"]
    return [*command, "--seconds", str(seconds), *options]


@asynccontextmanager
async def live_calls(
    appliance: Appliance,
    more: float = 2.0,
    count: int = CALLS,
    options: Sequence[str] = (),
    path: str = "/v1/realtime/calls",
) -> AsyncIterator[Calls]:
    """Some calls, all connected when the block begins; they last until it ends, and `more` seconds."""
    command = call_command(appliance, LONG, count, options, path)
    others = {row.session for row in (await appliance.sessions()).rows}
    async with (
        child(command, stdout=subprocess.PIPE, cwd=TREE) as process,
        trio.open_nursery() as nursery,
    ):
        calls = Calls(process)
        nursery.start_soon(_listen, process, calls)
        with trio.fail_after(60):
            while await _states(appliance, others) != ["connected"] * count:
                await trio.sleep(0.05)
        yield calls
        await calls.end(more)


async def _listen(process: trio.Process, calls: Calls) -> None:
    assert process.stdout is not None
    said = b"".join([piece async for piece in process.stdout])
    await process.wait()
    calls.report = json.loads(said)


async def _states(appliance: Appliance, others: Collection[str]) -> list[str]:
    rows = (await appliance.sessions()).rows
    return [row.state for row in rows if row.session not in others]
