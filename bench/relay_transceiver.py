"""A worker that takes a transceiver's place in the relay bench: it assures every flow and echoes it, in C.

The supervisor starts it like the real one; it has the same assignment, control and heartbeat. Only what
sessions cost is left out, so that the relay meets a back end as fast as its peers do. It writes ufrags
that name its route to `ufrags` in the appliance's directory, for the clients of the bench.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

import trio

from bench.native import program
from config.ids import Endpoint, Role
from ipc.messages import Message
from ipc.messages.admin import Failure
from ipc.messages.lifecycle import DescriptorKind, Ready
from ipc.rpc import RpcServer
from workers.process import main
from workers.wire.ufrag import UfragKeys
from workers.worker import Worker

UFRAGS: Final = 10_000


async def refuse(request: Message) -> Message:
    """There are no sessions here."""
    return Failure(f"the bench's transceiver does not answer {type(request).__name__}")


async def serve(worker: Worker) -> None:
    """Echo until drained."""
    assignment = worker.assignment
    assert assignment.route is not None
    ((address, link),) = worker.sockets(DescriptorKind.LINK)
    keys = UfragKeys(assignment.ufrag_keys, assignment.mint_with)
    ufrags = [keys.mint(assignment.route, os.urandom(6)) for _ in range(UFRAGS)]
    to = Path(worker.config.supervisor.runtime_directory, "ufrags")
    to.write_text("\n".join(ufrags))  # noqa: ASYNC240 - once, before there is anything else to do
    echo = subprocess.Popen(  # noqa: ASYNC220 - it ends with this process
        [program("echo"), "--link", str(link.fileno())],
        pass_fds=[link.fileno()],
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # like the other contenders' echo
    )
    name = f"{assignment.name}-{assignment.generation}"
    try:
        with RpcServer(f"ipc://{assignment.runtime_directory}/{name}.rpc", log=worker.log) as rpc:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(rpc.serve, refuse)
                await worker.ready(Ready(link=Endpoint(*address), rpc=rpc.endpoint))
                await worker.draining.wait()
                nursery.cancel_scope.cancel()
    finally:
        echo.kill()
        echo.wait()


if __name__ == "__main__":
    main(Role.TRANSCEIVER, serve)
