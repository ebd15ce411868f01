"""What operators ask on the admin socket: how the appliance is, and what its workers know."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from appliance.supervisor.core.interface import CordonRequested
from appliance.supervisor.events import EventDesk
from appliance.supervisor.inquiry import Inquiry
from config.ids import WorkerName
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
    UpgradeReply,
    UpgradeRequest,
    WorkerStatus,
)
from ipc.messages.details import FindSession
from ipc.messages.events import WatchEvents
from ipc.messages.flows import FlowsRequest
from ipc.messages.keys import KeysReply, KeysRequest, RotateKeys
from ipc.messages.places import PlacesRequest
from ipc.messages.sessions import EndSession
from ipc.messages.stats import WorkerStats
from ipc.messages.trace import TraceRequest


class AdminDesk:
    """Answers the requests of the admin socket.

    `status` gives the present state without the workers' own counters, `inquiry` asks the workers, `reload`
    carries out a reload, `compare` says what one would do, `cordon` sets or lifts a cordon and gives the
    problem, if there is one, `events` has what happened, `keys` those of ufrags,
    `upgrade` begins an upgrade.
    """

    def __init__(
        self,
        status: Callable[[], StatusReply],
        inquiry: Inquiry,
        reload: Callable[[ReloadRequest], Awaitable[ReloadReply | Failure]],
        compare: Callable[[DiffRequest], ReloadReply],
        cordon: Callable[[CordonRequested], str],
        events: EventDesk,
        keys: Callable[[KeysRequest | RotateKeys], Awaitable[KeysReply | Failure]],
        upgrade: Callable[[UpgradeRequest], Awaitable[UpgradeReply | Failure]],
    ) -> None:
        self._status = status
        self._inquiry = inquiry
        self._reload = reload
        self._compare = compare
        self._cordon = cordon
        self._events = events
        self._keys = keys
        self._upgrade = upgrade
        self._stats: dict[str, WorkerStats] = {}

    def keep_stats(self, message: Message) -> None:
        """Remember the newest counters of a worker; other news of the bus is not for this desk."""
        if isinstance(message, WorkerStats):
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
                return await self._inquiry.sessions(max(0, request.limit))
            case FindSession():
                return await self._inquiry.find(request)
            case EndSession():
                return await self._inquiry.end(request)
            case FlowsRequest():
                return await self._inquiry.flows(request)
            case PlacesRequest():
                return await self._inquiry.places(request)
            case TraceRequest():
                return await self._inquiry.trace(request)
            case ReloadRequest():
                reply = await self._reload(request)
                if isinstance(reply, ReloadReply):
                    self._events.note_reload(reply)
                return reply
            case DiffRequest():
                return self._compare(request)
            case UpgradeRequest():
                return await self._upgrade(request)
            case CordonRequest(workers=names, lift=lift):
                problem = self._cordon(CordonRequested(tuple(map(WorkerName, names)), lift))
                return Failure(why=problem) if problem else self.status()
            case KeysRequest() | RotateKeys():
                return await self._keys(request)
            case WatchEvents():
                return await self._events.watch(request)
            case _:
                return Failure(why=f"{type(request).__name__} is not asked here")

    def status(self) -> StatusReply:
        """The appliance at a glance, with the newest counters of each worker."""
        reply = self._status()
        return msgspec.structs.replace(reply, workers=tuple(map(self._with_stats, reply.workers)))

    def _with_stats(self, row: WorkerStatus) -> WorkerStatus:
        stats = self._stats.get(row.name)
        return row if stats is None else msgspec.structs.replace(row, stats=stats)
