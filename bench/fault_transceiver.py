"""A stand-in beside a real transceiver: it assures every flow of its route and echoes it, in C.

It has no rpc, so signaling gives it no sessions; the bench finds ufrags of its route in `ufrags`, in the
workers' directory, and the load that a real transceiver could not echo goes through it.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

import trio

from bench.native import program
from config.ids import Role
from ipc.messages.lifecycle import DescriptorKind, Ready
from ipc.messages.routes import Relays, RelaysApplied
from workers.process import main
from workers.wire.ufrag import UfragKeys
from workers.worker import Worker

UFRAGS: Final = 4_000


async def serve(worker: Worker) -> None:
    """Echo until drained."""
    assignment = worker.assignment
    assert assignment.route is not None
    ((address, link),) = worker.sockets(DescriptorKind.LINK)
    keys = UfragKeys(assignment.ufrag_keys, assignment.mint_with)
    ufrags = [keys.mint(assignment.route, os.urandom(6)) for _ in range(UFRAGS)]
    Path(assignment.runtime_directory, "ufrags").write_text("\n".join(ufrags))  # noqa: ASYNC240
    echo = subprocess.Popen(  # noqa: ASYNC220 - it ends with this process
        [program("echo"), "--link", str(link.fileno())],
        pass_fds=[link.fileno()],
        stdout=subprocess.DEVNULL,
    )
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_hear_all_relays, worker)
            await worker.ready(Ready(link=address))
            await worker.draining.wait()
            nursery.cancel_scope.cancel()
    finally:
        echo.kill()
        echo.wait()


async def _hear_all_relays(worker: Worker) -> None:
    """The echo hears everybody."""
    async for command in worker.commands:
        if isinstance(command, Relays):
            await worker.send(RelaysApplied(command.serial))


if __name__ == "__main__":
    main(Role.TRANSCEIVER, serve)
