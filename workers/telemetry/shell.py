"""The telemetry worker: asks the supervisor every other second, remembers, and answers over HTTP.

It has what any worker has, and no more: it asks as an operator does, and decides nothing.
"""

from __future__ import annotations

import time
from typing import Final

import trio

from ipc import grid
from ipc.messages.lifecycle import DescriptorKind, Ready
from ipc.messages.stats import TelemetryStats
from workers.http.http1 import Limits
from workers.http.server import HttpServer
from workers.telemetry.app import make_application
from workers.telemetry.core.history import EVERY, History
from workers.telemetry.source import Source
from workers.worker import Worker

LIMITS: Final = Limits(request_timeout=10.0, max_body=4096, max_connections=64)
"""A few people and a Prometheus or two; more wait in the kernel's backlog."""

SETTLED: Final = 0.05
"""Seconds after a moment when all workers publish until all of that has been heard."""


async def serve(worker: Worker) -> None:
    """Serve until drained."""
    history = History()
    with Source(worker.assignment.admin) as source:
        listen = worker.config.ops.listen
        application = make_application(source, history, listen, int(time.time() * 1000))
        server = HttpServer(application, LIMITS, worker.log)
        worker.set_load(lambda: server.connections)
        worker.set_stats(lambda: _stats(worker, server, source))
        sockets = [sock for _, sock in worker.sockets(DescriptorKind.HTTP)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_remember, source, history)
            async with trio.open_nursery() as serving:
                await serving.start(server.serve, sockets, worker.draining)
                await worker.ready(Ready())
            nursery.cancel_scope.cancel()


async def _remember(source: Source, history: History) -> None:
    while True:
        if (status := await source.status()) is not None:
            history.add(status, int(time.time() * 1000))
        await trio.sleep(grid.until_next(time.monotonic(), EVERY) + SETTLED)


def _stats(worker: Worker, server: HttpServer, source: Source) -> TelemetryStats:
    return TelemetryStats(
        worker=worker.assignment.name,
        usage=worker.usage(),
        connections=server.connections,
        responses={str(status): count for status, count in server.responses.items()},
        guarded=server.guarded,
        evicted=server.evicted,
        unanswered=source.unanswered,
    )
