"""Some `tandem call` at work against an appliance."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from tests.support.appliance import TREE, Appliance

CALLS = 3


class Calls:
    """`tandem call` at work; `report` has its measurements when the block is over."""

    def __init__(self) -> None:
        self.report: dict[str, Any] = {}


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
    seconds: float,
    count: int = CALLS,
    options: Sequence[str] = (),
    path: str = "/v1/realtime/calls",
    among: Collection[str] = (),
) -> AsyncIterator[Calls]:
    """Some calls of that length, all connected when the block begins; `among`: sessions of others."""
    calls = Calls()
    command = call_command(appliance, seconds, count, options, path)

    async def run() -> None:
        done = await trio.run_process(command, capture_stdout=True, check=False, cwd=TREE)
        calls.report = json.loads(done.stdout)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        with trio.fail_after(60):
            while await _states(appliance, among) != ["connected"] * count:
                await trio.sleep(0.05)
        yield calls


async def _states(appliance: Appliance, others: Collection[str]) -> list[str]:
    rows = (await appliance.sessions()).rows
    return [row.state for row in rows if row.session not in others]
