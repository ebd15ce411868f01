"""A worker without a job, to try the life that all workers share. STAND_IN says how it behaves."""

from __future__ import annotations

import os

import trio

from config.ids import Endpoint, Role, WorkerName
from ipc.messages.lifecycle import DescriptorKind, Ready
from ipc.messages.routes import Routes, RoutesApplied
from ipc.messages.stats import SessionEvent, SessionEvents, SignalingStats
from ipc.socket_file import EndpointError
from workers.process import main
from workers.worker import Worker

HABIT = os.environ.get("STAND_IN", "serve")


async def serve(worker: Worker) -> None:
    """Serve as HABIT says."""
    if HABIT == "crash":
        raise ValueError("boom")
    if HABIT == "return":
        return
    if HABIT == "no room":
        raise EndpointError("ipc://there: [Errno 28] No space left on device")
    worker.set_load(lambda: 7)
    worker.set_stats(
        lambda: SignalingStats(
            worker=WorkerName(worker.assignment.name),
            usage=worker.usage(),
            connections=0,
            responses={},
            guarded=0,
        )
    )
    link: Endpoint | None = None
    for bound, sock in worker.sockets(DescriptorKind.LINK):
        assert sock.getsockname() == bound
        assert not sock.getblocking()
        assert not os.get_inheritable(sock.fileno())
        sock.sendto(b"it works", bound)
        link = bound
    affinity = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    await worker.ready(Ready(link=link, datapath=f"cpu {affinity}"))
    if HABIT == "crash later":
        await trio.sleep(0.05)
        raise ValueError("boom")
    if HABIT == "stuck":
        await trio.sleep_forever()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(obey, worker)
        nursery.start_soon(let_go, worker, nursery.cancel_scope)
        await worker.draining.wait()
        worker.publish(SessionEvents(worker.assignment.name, (SessionEvent("", "draining"),)))
        if HABIT == "slow":
            await trio.sleep_forever()
        nursery.cancel_scope.cancel()


async def obey(worker: Worker) -> None:
    """Acknowledge routes."""
    async for command in worker.commands:
        if isinstance(command, Routes):
            await worker.send(RoutesApplied(serial=command.serial))


async def let_go(worker: Worker, serving: trio.CancelScope) -> None:
    """Leave a word in the table for the successor, and end."""
    await worker.releasing.wait()
    table = worker.table()
    assert table is not None
    os.write(table, b"the flows")
    serving.cancel()


if __name__ == "__main__":
    main(Role.RELAY, serve)
