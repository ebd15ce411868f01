"""The relay's tasks: one per socket that pumps, one for timers, one for routes. They decide nothing."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Final, assert_never

import trio

from config.ids import Instant
from ipc.messages.lifecycle import DescriptorKind, Ready
from ipc.messages.routes import Routes, RoutesApplied
from ipc.messages.stats import RelayStats
from ipc.rpc import RpcServer
from workers.process import Worker
from workers.relay.core.interface import (
    Draining,
    Dropped,
    Event,
    FlowAssured,
    InstallFlow,
    Output,
    RaiseFlow,
    RaiseFlows,
    RemoveFlow,
    RemoveRoute,
    SendBack,
    SendDatagram,
    SendRecord,
)
from workers.relay.core.relay import Relay
from workers.relay.core.routes import route_changes
from workers.relay.core.ways import Neighbours
from workers.relay.datapath.base import Datapath, Source
from workers.relay.datapath.choice import open_datapath
from workers.relay.desk import AT_ONCE, Desk
from workers.wire.ufrag import UfragKeys

EVENT_BUDGET: Final = 32
"""Events for the core in a turn: an event costs as much as eight datagrams, and media go first."""
TICK: Final = 0.25
"""Seconds between two sweeps of the flow table."""
_SO_SNDBUFFORCE: Final = 32
"""Linux: past the system's limit, if we may (CAP_NET_ADMIN); the socket module has no name for it."""


class RelayShell:
    """Moves events from the datapath to the core and carries out what the core says."""

    def __init__(
        self, core: Relay, datapath: Datapath, clock: Callable[[], Instant] = trio.current_time
    ) -> None:
        """Until the supervisor has said what is live, the flows of an earlier relay say it."""
        self._now = clock
        self._core = core
        self._datapath = datapath
        # Other clusters' routes are nobody's to announce: they last for as long as their flows.
        self._links = {r: link for r, link in datapath.inherited if not core.is_relay(link)}
        self._conserved = True
        for change in route_changes({}, self._links):
            self._handle(change)

    async def pump(self, source: Source) -> None:
        """Serve one source for ever."""
        descriptor, pump = source
        while True:
            # With events left over from the last turn, only let the others run in between.
            if self._datapath.waiting:
                await trio.lowlevel.checkpoint()
            else:
                await trio.lowlevel.wait_readable(descriptor)
            pump(self._now())
            self.handle_waiting()

    async def tick(self) -> None:
        """Let pending and silent flows go, for ever."""
        while True:
            await trio.sleep(TICK)
            now = self._now()
            due = self._core.next_timeout()
            if due is not None and due <= now:
                self._carry_out(self._core.handle_timeout(now))
            self._datapath.sweep(now)
            self.handle_waiting()

    async def follow_routes(self, worker: Worker) -> None:
        """Make each whole truth of the supervisor ours and acknowledge it."""
        async for command in worker.commands:
            if isinstance(command, Routes):
                self.apply_routes(command)
                await worker.send(RoutesApplied(command.serial))

    async def meet_siblings(self, worker: Worker) -> None:
        """Look into the tables of relays that are added, too."""
        while True:
            for table in await worker.holdings.more_siblings():
                self._datapath.add_sibling(table)

    def apply_routes(self, routes: Routes) -> None:
        """Route by this from now on."""
        links = {live.route: live.link for live in routes.routes}
        for change in route_changes(self._links, links):
            self._handle(change)
        self._links = links
        self._datapath.flush()

    def drain(self) -> None:
        """Let Global Relays look for another relay while this one still serves."""
        self._handle(Draining())

    def release(self) -> None:
        """Read no socket any more, and settle what has been read: a successor has the rest."""
        self._datapath.stop()
        while self._datapath.waiting:
            self.handle_waiting()

    @property
    def flows(self) -> int:
        """Assured and pending flows."""
        return self._core.assured + self._core.pending

    def stats(self, worker: Worker) -> RelayStats:
        """A snapshot of all counters, and whether the laws held at every one so far."""
        path, core = self._datapath.counters, self._core.counters
        self._conserved = self._conserved and path.conserved() and core.conserved()
        refused = core.upcalls_dropped + core.records_dropped + path.records_dropped + path.unsent
        return RelayStats(
            worker=worker.assignment.name,
            usage=worker.usage(),
            received=path.received,
            forwarded=path.forwarded,
            upcalled=path.upcalled,
            returned=path.returned,
            dropped={reason.value: count for reason, count in path.dropped.items()},
            refused={reason.value: count for reason, count in refused.items()},
            flows=self._datapath.flows,
            pending=self._core.pending,
            assured_total=core.assured,
            conserved=self._conserved,
        )

    def handle_waiting(self) -> None:
        """Let the core decide about some of what has come up."""
        for _ in range(EVENT_BUDGET):
            event = self._datapath.next_event()
            if event is None:
                break
            self._handle(event)
        self._datapath.flush()

    def _handle(self, event: Event) -> None:
        self._carry_out(self._core.handle(event, self._now()))

    def _carry_out(self, outputs: list[Output]) -> None:
        datapath = self._datapath
        for output in outputs:
            match output:
                case SendRecord():
                    datapath.send_record(output)
                case SendDatagram():
                    datapath.send_datagram(output)
                case SendBack():
                    datapath.send_back(output)
                case InstallFlow():
                    datapath.install(output, self._now())
                case RaiseFlow():
                    datapath.raise_flow(output)
                case RaiseFlows():
                    datapath.raise_flows(output)
                case RemoveFlow():
                    datapath.remove(output, self._now())
                case RemoveRoute():
                    datapath.remove_route(output, self._now())
                case FlowAssured() | Dropped():
                    pass  # counted by the core
                case _:
                    assert_never(output)


def _widen_send_buffer(sock: socket.socket, size: int) -> None:
    """Room for bursts: what a slow reader on this host has not read yet counts against its sender."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, size)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)


async def serve(worker: Worker) -> None:
    """Relay until drained."""
    config, assignment = worker.config, worker.assignment
    public = worker.sockets(DescriptorKind.PUBLIC)
    links = worker.sockets(DescriptorKind.LINK)
    if not public or not links:
        raise ValueError("a relay needs public sockets and a link socket")
    link_endpoint, link = links[0]
    ingress = worker.sockets(DescriptorKind.INGRESS)
    for _, sock in (*public, *links, *ingress):
        _widen_send_buffer(sock, config.relay.receive_buffer)
    cluster = config.cluster
    neighbours = Neighbours(cluster.others, frozenset(cluster.global_relays), cluster.id)
    with (
        RpcServer(worker.rpc_endpoint, log=worker.log, limit=AT_ONCE) as rpc,
        open_datapath(
            config,
            public,
            link,
            assignment.cpu,
            table=worker.table(),
            siblings=worker.sibling_tables(),
            ingress=ingress[0] if ingress else None,
        ) as (datapath, note),
    ):
        core = Relay(
            UfragKeys(assignment.ufrag_keys, assignment.mint_with),
            os.urandom,
            max_flows=config.relay.max_flows,
            max_pending=config.relay.max_pending,
            memory=datapath.memory,
            neighbours=neighbours,
            now=trio.current_time(),
        )
        shell = RelayShell(core, datapath)
        worker.set_load(lambda: shell.flows)
        worker.set_stats(lambda: shell.stats(worker))
        ready = Ready(link=link_endpoint, rpc=rpc.endpoint, datapath=note)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rpc.serve, Desk(core, datapath).answer)
            await _relay(worker, shell, datapath, ready)
            nursery.cancel_scope.cancel()


async def _relay(worker: Worker, shell: RelayShell, datapath: Datapath, ready: Ready) -> None:
    async with trio.open_nursery() as nursery:
        for source in datapath.sources:
            nursery.start_soon(shell.pump, source)
        nursery.start_soon(shell.tick)
        nursery.start_soon(shell.follow_routes, worker)
        nursery.start_soon(shell.meet_siblings, worker)
        await worker.ready(ready)
        nursery.start_soon(_drain, worker, shell, nursery.cancel_scope)
        await worker.releasing.wait()
        nursery.cancel_scope.cancel()
    if worker.releasing.is_set():
        shell.release()


async def _drain(worker: Worker, shell: RelayShell, relaying: trio.CancelScope) -> None:
    """Told to drain: wait until its transceivers end their sessions, or their clients fall silent."""
    await worker.draining.wait()
    shell.drain()
    while shell.flows and trio.current_time() < (worker.drain_deadline or 0.0):
        await trio.sleep(TICK)
    relaying.cancel()
