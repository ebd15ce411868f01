"""What operators ask on the admin socket: how the appliance is, and which sessions there are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from importlib import metadata
from typing import Final, TypeAlias

import msgspec
import trio

from appliance.supervisor.core.interface import CordonRequested
from config.ids import WorkerName
from ipc.log import Logger
from ipc.messages import Message
from ipc.messages.admin import (
    CordonRequest,
    DiffRequest,
    Failure,
    ReloadReply,
    ReloadRequest,
    SessionsRequest,
    StatusReply,
    StatusRequest,
)
from ipc.messages.sessions import ListSessions, SessionList
from ipc.messages.stats import (
    FleetStats,
    RealtimeStats,
    RelayStats,
    SignalingStats,
    TransceiverStats,
)
from ipc.rpc import RpcClient, RpcFailed, RpcTimeout

SESSIONS_WITHIN: Final = 2.0
"""Seconds a transceiver may take to list its sessions."""
Stats: TypeAlias = RelayStats | TransceiverStats | SignalingStats | RealtimeStats | FleetStats


@cache
def version() -> str:
    """The version of Tandem that is installed."""
    try:
        return metadata.version("tandem")
    except metadata.PackageNotFoundError:
        return "unknown"


class AdminDesk:
    """Answers the requests of the admin socket.

    `status` gives the present state without the workers' own counters, `owners` the rpc end points of the
    transceivers that serve, `reload` carries out a reload, `compare` says what one would do, `cordon` sets
    or lifts a cordon and gives the problem, if there is one.
    """

    def __init__(
        self,
        status: Callable[[], StatusReply],
        owners: Callable[[], Mapping[WorkerName, str]],
        reload: Callable[[ReloadRequest], Awaitable[ReloadReply | Failure]],
        compare: Callable[[DiffRequest], ReloadReply],
        cordon: Callable[[CordonRequested], str],
        log: Logger,
    ) -> None:
        self._status = status
        self._owners = owners
        self._reload = reload
        self._compare = compare
        self._cordon = cordon
        self._log = log
        self._stats: dict[str, Stats] = {}

    def keep_stats(self, message: Message) -> None:
        """Remember the newest counters of a worker; other news of the bus is not for this desk."""
        if isinstance(message, Stats):
            self._stats[message.worker] = message

    def forget_stats(self, worker: WorkerName) -> None:
        """The process that counted is gone."""
        self._stats.pop(worker, None)

    async def answer(self, request: Message) -> Message:
        """The reply to one request."""
        match request:
            case StatusRequest():
                return self.status()
            case SessionsRequest():
                return await self.sessions(max(0, request.limit))
            case ReloadRequest():
                return await self._reload(request)
            case DiffRequest():
                return self._compare(request)
            case CordonRequest(workers=names, lift=lift):
                problem = self._cordon(CordonRequested(tuple(map(WorkerName, names)), lift))
                return Failure(why=problem) if problem else self.status()
            case _:
                return Failure(why=f"{type(request).__name__} is not asked here")

    def status(self) -> StatusReply:
        """The appliance at a glance, with the newest counters of each worker."""
        reply = self._status()
        rows = tuple(
            msgspec.structs.replace(row, stats=self._stats.get(row.name)) for row in reply.workers
        )
        return msgspec.structs.replace(reply, workers=rows)

    async def sessions(self, limit: int) -> SessionList | Failure:
        """The sessions of all transceivers; one that does not answer in time is left out."""
        lists: dict[WorkerName, SessionList] = {}
        owners = self._owners()
        async with trio.open_nursery() as nursery:
            for worker, rpc in owners.items():
                nursery.start_soon(self._ask, worker, rpc, limit, lists)
        if owners and not lists:
            return Failure(why="no transceiver answered in time")
        rows = [
            msgspec.structs.replace(row, worker=worker)
            for worker in owners
            if worker in lists
            for row in lists[worker].rows
        ]
        return SessionList(tuple(rows[:limit]), sum(found.total for found in lists.values()))

    async def _ask(
        self, worker: WorkerName, rpc: str, limit: int, lists: dict[WorkerName, SessionList]
    ) -> None:
        with RpcClient(rpc) as client:
            try:
                reply = await client.call(ListSessions(limit), within=SESSIONS_WITHIN)
            except (RpcTimeout, RpcFailed) as error:
                self._log.warning("sessions not listed", of=worker, why=str(error))
                return
        if isinstance(reply, SessionList):
            lists[worker] = reply
