"""The relay's tasks: one per socket that pumps, one for timers, one for routes. They decide nothing."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypedDict, assert_never

import trio

from config.ids import ClusterId, Endpoint, Instant, Route
from ipc import grid
from ipc.messages.lifecycle import DescriptorKind, Ready, cache_endpoint
from ipc.messages.routes import Routes, RoutesApplied
from ipc.messages.stats import RelayStats, TcpStats
from ipc.rpc import RpcServer
from workers.relay.core.interface import (
    CacheSeen,
    Draining,
    Dropped,
    Event,
    FlowAssured,
    ForgetRoute,
    InstallFlow,
    KeepRoute,
    LookUp,
    OthersHeard,
    Output,
    RaiseFlow,
    RaiseFlows,
    RemoveFlow,
    RemoveRoute,
    RouteFound,
    SendBack,
    SendDatagram,
    SendRecord,
)
from workers.relay.core.relay import Relay
from workers.relay.core.routes import route_changes
from workers.relay.core.ways import Neighbours
from workers.relay.datapath.base import Datapath, Source
from workers.relay.datapath.choice import open_datapath
from workers.relay.datapath.tcp import TcpDatapath
from workers.relay.desk import AT_ONCE, Desk
from workers.relay.line import CacheLine
from workers.relay.over_tcp import leave_tcp, open_tcp
from workers.wire.ufrag import UfragKeys
from workers.worker import Worker

EVENT_BUDGET: Final = 32
"""Events for the core in a turn: an event costs as much as eight datagrams, and media go first."""
TICK: Final = 0.25
"""Seconds between two sweeps of the flow table; a second while there is no flow, and nothing is due."""
_SO_SNDBUFFORCE: Final = 32
"""Linux: past the system's limit, if we may (CAP_NET_ADMIN); the socket module has no name for it."""


class Totals(TypedDict):
    """What is counted over UDP as over TCP."""

    received: int
    forwarded: int
    upcalled: int
    returned: int
    dropped: dict[str, int]
    refused: dict[str, int]
    flows: int
    pending: int
    assured_total: int


class RelayShell:
    """Moves events from the datapath to the core and carries out what the core says."""

    def __init__(
        self,
        core: Relay,
        datapath: Datapath,
        clock: Callable[[], Instant] = trio.current_time,
        cache: str = "",
    ) -> None:
        """Until the supervisor has said what is live, the flows of an earlier relay say it.

        `cache`: where the flow cache is asked, if there is one.
        """
        mine, others = _inherited(datapath.inherited, core.ways.own)
        self._now = clock
        self._core = core
        self._datapath = datapath
        self._links = mine
        self._others = OthersHeard(others)
        self._conserved = True
        self.line = CacheLine(cache, self.hear_cache) if cache else None
        for change in route_changes({}, self._links):
            self._handle(change)
        self._handle(self._others)

    @property
    def parts(self) -> tuple[Relay, Datapath]:
        """Core and datapath, for who only looks."""
        return self._core, self._datapath

    def start(self, nursery: trio.Nursery) -> None:
        """Serve everything, for ever."""
        for source in self._datapath.sources:
            nursery.start_soon(self.pump, source)
        nursery.start_soon(self.tick)
        if self.line is not None:
            nursery.start_soon(self.line.serve)

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
        due: float | None = None
        while True:
            await trio.sleep(
                grid.until_next(time.monotonic()) if due is None and not self.flows else TICK
            )
            now = self._now()
            due = self._core.next_timeout()
            if due is not None and due <= now:
                self._carry_out(self._core.handle_timeout(now))
            self._datapath.sweep(now)
            self.handle_waiting()

    def apply_routes(self, routes: Routes) -> None:
        """Route by this from now on."""
        links = {live.route: live.link for live in routes.routes}
        for change in route_changes(self._links, links):
            self._handle(change)
        self._links = links
        clusters = {each.cluster: each.relays for each in routes.clusters}
        others = OthersHeard(clusters, frozenset(routes.global_relays))
        if others != self._others:
            self._others = others
            self._handle(others)
        self._datapath.outbox.flush()

    def hear_cache(self, events: Sequence[CacheSeen | RouteFound]) -> None:
        """The flow cache has said something. What follows from all of it goes to a transceiver together."""
        for event in events:
            self._handle(event)
        self._datapath.outbox.flush()

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

    @property
    def conserved(self) -> bool:
        """Whether the laws hold, and have held whenever somebody asked."""
        path, core = self._datapath.counters, self._core.counters
        held = core.conserved(self._core.cache.held)
        self._conserved = self._conserved and path.conserved() and held
        return self._conserved

    def totals(self) -> Totals:
        """A snapshot of all counters."""
        path, core = self._datapath.counters, self._core.counters
        refused = core.upcalls_dropped + core.records_dropped + path.records_dropped
        refused += self._datapath.outbox.unsent
        return Totals(
            received=path.received,
            forwarded=path.forwarded,
            upcalled=path.upcalled,
            returned=path.returned,
            dropped={reason.value: count for reason, count in path.dropped.items()},
            refused={reason.value: count for reason, count in refused.items()},
            flows=self._datapath.flows,
            pending=self._core.pending,
            assured_total=core.assured,
        )

    @property
    def held(self) -> int:
        """Datagrams that wait for the flow cache."""
        return self._core.cache.held

    @property
    def others(self) -> dict[str, dict[str, bool]]:
        """The relays of other clusters, and whether each answers."""
        return {
            str(cluster): {str(relay): answers for relay, answers in relays.items()}
            for cluster, relays in self._core.ways.clusters.view().items()
        }

    def cache_stats(self) -> dict[str, int]:
        """What the flow cache was asked, and what it was not told."""
        if self.line is None:
            return {}
        counters = self._core.cache.counters
        counted = {"asked": counters.asked, "found": counters.found, "missed": counters.missed}
        return counted | self.line.lost

    def handle_waiting(self) -> None:
        """Let the core decide about some of what has come up."""
        for _ in range(EVENT_BUDGET):
            event = self._datapath.next_event()
            if event is None:
                break
            self._handle(event)
        self._datapath.outbox.flush()

    def _handle(self, event: Event) -> None:
        self._carry_out(self._core.handle(event, self._now()))

    def _carry_out(self, outputs: list[Output]) -> None:
        datapath = self._datapath
        for output in outputs:
            match output:
                case SendRecord():
                    datapath.outbox.send_record(output)
                case SendDatagram():
                    datapath.outbox.send_datagram(output)
                case SendBack():
                    datapath.outbox.send_back(output)
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
                case KeepRoute() | ForgetRoute() | LookUp():
                    if self.line is not None:
                        self.line.take(output)
                case FlowAssured() | Dropped():
                    pass  # counted by the core
                case _:
                    assert_never(output)


def _inherited(
    flows: Iterable[tuple[Route, Endpoint]], own: ClusterId
) -> tuple[dict[Route, Endpoint], dict[ClusterId, tuple[Endpoint, ...]]]:
    """Where flows of an earlier relay lead: to transceivers of our cluster, and to relays of others."""
    mine: dict[Route, Endpoint] = {}
    others: dict[ClusterId, set[Endpoint]] = {}
    for route, link in flows:
        if route.cluster == own:
            mine[route] = link
        else:
            others.setdefault(route.cluster, set()).add(link)
    return mine, {cluster: tuple(sorted(relays)) for cluster, relays in others.items()}


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
    for _, sock in (*public, *links, *ingress, *worker.sockets(DescriptorKind.TCP_LINK)):
        _widen_send_buffer(sock, config.relay.receive_buffer)
    with (
        RpcServer(worker.rpc_endpoint, log=worker.log, limit=AT_ONCE, lost=worker.lost) as rpc,
        open_datapath(
            config,
            public,
            link,
            assignment.cpu,
            table=worker.table(),
            siblings=worker.sibling_tables(),
            ingress=ingress[0] if ingress else None,
        ) as (datapath, note),
        open_tcp(worker) as tcp_path,
    ):
        shell = RelayShell(_core(worker, datapath), datapath, cache=_cache_of(worker))
        tcp = None if tcp_path is None else RelayShell(_core(worker, tcp_path), tcp_path)
        shells = [shell] if tcp is None else [shell, tcp]
        worker.set_load(lambda: sum(each.flows for each in shells))
        worker.set_stats(
            lambda: RelayStats(
                worker=assignment.name,
                usage=worker.usage(),
                conserved=all(each.conserved for each in shells),
                held=shell.held,
                cache=shell.cache_stats(),
                others=shell.others,
                tcp=_tcp_stats(tcp, tcp_path) if tcp is not None and tcp_path is not None else None,
                **shell.totals(),
            )
        )
        ready = Ready(link=link_endpoint, rpc=rpc.endpoint, datapath=note)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rpc.serve, Desk([each.parts for each in shells]).answer)
            for each in shells:
                each.start(nursery)
            nursery.start_soon(_follow_routes, worker, shells)
            nursery.start_soon(_meet_siblings, worker, datapath)
            await worker.ready(ready)
            nursery.start_soon(_drain, worker, shells, tcp_path, nursery.cancel_scope)
            await worker.releasing.wait()
            nursery.cancel_scope.cancel()
        if worker.releasing.is_set():
            for each in shells:
                each.release()
            if tcp_path is not None:
                leave_tcp(worker, tcp_path)


def _cache_of(worker: Worker) -> str:
    """Where the flow cache is asked. A connection ends with its host, so only UDP has one."""
    redis = worker.config.redis
    return cache_endpoint(worker.assignment.runtime_directory) if redis.url and redis.cache else ""


def _core(worker: Worker, datapath: Datapath) -> Relay:
    relay, cluster, assignment = worker.config.relay, worker.config.cluster, worker.assignment
    return Relay(
        UfragKeys(assignment.ufrag_keys, assignment.mint_with),
        os.urandom,
        max_flows=relay.max_flows,
        max_pending=relay.max_pending,
        memory=datapath.memory,
        neighbours=Neighbours(cluster.others, frozenset(cluster.global_relays), cluster.id),
        now=trio.current_time(),
    )


def _tcp_stats(shell: RelayShell, datapath: TcpDatapath) -> TcpStats:
    return TcpStats(
        connections=datapath.connections,
        accepted=datapath.accepted,
        taken=datapath.taken,
        ended={reason.value: count for reason, count in datapath.ended.items()},
        **shell.totals(),
    )


async def _follow_routes(worker: Worker, shells: Sequence[RelayShell]) -> None:
    """Make each whole truth of the supervisor ours and acknowledge it."""
    async for command in worker.commands:
        if isinstance(command, Routes):
            for shell in shells:
                shell.apply_routes(command)
            await worker.send(RoutesApplied(command.serial))


async def _meet_siblings(worker: Worker, datapath: Datapath) -> None:
    """Look into the tables of relays that are added, too."""
    while True:
        for table in await worker.holdings.more_siblings():
            datapath.add_sibling(table)


async def _drain(
    worker: Worker,
    shells: Sequence[RelayShell],
    tcp_path: TcpDatapath | None,
    relaying: trio.CancelScope,
) -> None:
    """Told to drain: wait until its transceivers end their sessions, or their clients fall silent."""
    await worker.draining.wait()
    for shell in shells:
        shell.drain()
    if tcp_path is not None:
        tcp_path.stop_listening()
    while any(s.flows for s in shells) and trio.current_time() < (worker.drain_deadline or 0.0):
        await trio.sleep(TICK)
    relaying.cancel()
