"""The signaling worker: the HTTP server on its sockets, and the supervisor's table kept current."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from config.checks import backends_of
from config.ids import Endpoint
from config.model import Config
from ipc.log import Logger
from ipc.messages.fleet import FleetPlace, FleetView
from ipc.messages.lifecycle import DescriptorKind, Ready, cache_endpoint
from ipc.messages.routes import Transceivers
from ipc.messages.stats import SignalingStats
from ipc.rpc import RpcServer
from workers.http.http1 import Limits
from workers.http.server import HttpServer
from workers.inbox import Command
from workers.signaling.access import Access, Gate, Locks, Own
from workers.signaling.api_keys import ApiKeys
from workers.signaling.app import make_application
from workers.signaling.client_address import Proxies
from workers.signaling.elsewhere import Elsewhere
from workers.signaling.guests import Guests
from workers.signaling.key_sources import FileKeys, PublishedKeys
from workers.signaling.line import RpcLine
from workers.signaling.membership import Membership
from workers.signaling.news import News
from workers.signaling.placing import Rules
from workers.signaling.sidebands import Sidebands
from workers.signaling.site_health import SiteHealth
from workers.signaling.sites import Site, Sites
from workers.signaling.steering import Steering
from workers.signaling.survey import Desk
from workers.signaling.switchboard import Switchboard
from workers.signaling.whereabouts import Headers, Location
from workers.wire.ufrag import UfragKeys
from workers.worker import Worker

if TYPE_CHECKING:
    from workers.signaling.ledger import Ledger

RESERVED_DESCRIPTORS: Final = 64
"""For listeners, control, bus, and a line to each transceiver."""


async def serve(worker: Worker) -> None:
    """Serve, once it is known who takes sessions, until drained: accept no more, answer what is open."""
    assignment, config = worker.assignment, worker.config.signaling
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limits = Limits(
        request_timeout=config.request_timeout,
        max_body=config.max_body,
        max_connections=connections_within(config.max_connections, descriptors),
    )
    fleet, place = worker.config.fleet, _place(worker.config)
    membership = (
        Membership(assignment.ufrag_keys, assignment.mint_with) if worker.config.in_fleet else None
    )
    with (
        RpcLine(membership) as line,
        make_ledger(worker) as ledger,
        RpcServer(worker.rpc_endpoint, log=worker.log, lost=worker.lost) as rpc,
    ):
        switchboard = Switchboard(
            UfragKeys(assignment.ufrag_keys, assignment.mint_with),
            line,
            answer_within=config.request_timeout,
            elsewhere=Elsewhere(worker.config.cluster.id, place if fleet.nearest else None),
        )
        steering = make_steering(
            worker.config, worker.log, assignment.advertise, assignment.advertise_tcp
        )
        news = News(switchboard)
        sidebands = Sidebands(switchboard, max(1, limits.max_connections // 2))
        published = make_published_keys(worker)
        application = make_application(
            switchboard,
            config.cors_origins,
            make_rules(worker.config, steering),
            make_access(worker, ledger, published),
            news,
            sidebands,
        )
        server = HttpServer(application, limits, worker.log)
        worker.set_load(lambda: server.connections)
        guests = (
            Guests(switchboard, membership, worker.log, worker.lost)
            if membership and fleet.calls
            else None
        )
        worker.set_stats(lambda: _stats(worker, server, switchboard, guests, ledger, sidebands))
        sockets = [sock for _, sock in worker.sockets(DescriptorKind.HTTP)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rpc.serve, Desk(steering).answer)
            door = membership.own.public if membership and guests else ""
            await worker.ready(Ready(rpc=rpc.endpoint, door=door))
            await _know(worker, switchboard, steering)
            nursery.start_soon(_follow, worker, switchboard, steering)
            nursery.start_soon(news.run)
            nursery.start_soon(sidebands.run)
            if published is not None:
                nursery.start_soon(published.run)
            if guests is not None and fleet.calls is not None:
                nursery.start_soon(_receive, worker, guests, fleet.calls)
            await server.serve(sockets, worker.draining)
            nursery.cancel_scope.cancel()


def make_rules(config: Config, steering: Steering = Steering()) -> Rules:  # noqa: B008  # a value
    """The operator's part in every call."""
    backends = config.backends
    return Rules(
        default=backends.default,
        backends=frozenset(backends_of(config)),
        max_duration=config.transceiver.max_duration,
        idle_timeout=config.transceiver.idle_timeout,
        steering=steering,
    )


def make_steering(
    config: Config, log: Logger, advertise: Sequence[Endpoint], tcp: Sequence[Endpoint] = ()
) -> Steering:
    """Which relays an answer names. `advertise`, `tcp`: those that it names without any sites."""
    section = config.steering
    listed = [
        Site(
            site.name,
            (tuple(site.addresses),),
            Location(*site.location) if site.location else None,
            frozenset(site.countries),
        )
        for site in section.sites
    ]
    own = tuple(advertise) if config.has_relays else ()
    sites = Sites(listed, _place(config), own, config.cluster.id)
    headers = Headers(section.country_header, section.latitude_header, section.longitude_header)
    atlas = None
    if section.database:
        # As with client secrets: only who has a database pays for its imports.
        from workers.signaling.geography import Geography

        atlas = Geography(Path(section.database), log).find
    return Steering(
        sites, section.sites_per_answer, headers, atlas, SiteHealth((*own, *tcp) if own else ())
    )


def _place(config: Config) -> FleetPlace:
    fleet = config.fleet
    return FleetPlace(fleet.site, fleet.location, fleet.countries)


def make_published_keys(worker: Worker) -> PublishedKeys | None:
    """The identity provider's, if it publishes them. Somebody has to `run` it."""
    url = worker.config.auth.jwks_url
    return PublishedKeys(url, worker.log) if url else None


def make_ledger(worker: Worker) -> AbstractContextManager[Ledger | None]:
    """Which client secrets are spent, shared with this process's successor, and with other hosts."""
    config, runtime = worker.config, worker.assignment.runtime_directory
    if not config.signaling.api_keys:
        return nullcontext()
    from workers.signaling.ledger import FILE, Ledger

    return closing(
        Ledger(Path(runtime) / FILE, cache_endpoint(runtime) if config.redis.url else "")
    )


def make_access(
    worker: Worker, ledger: Ledger | None, published: PublishedKeys | None = None
) -> Access:
    """By the operator's keys, a provider's tokens, or both; else for this machine, or for everybody."""
    section, auth = worker.config.signaling, worker.config.auth
    gate = Gate(
        section.anonymous,
        section.calls_per_minute,
        Proxies(section.trusted_proxies, section.proxy_header),
        frozenset(section.cors_origins),
        worker.config.cluster.id,
    )
    if not section.api_keys and not auth.wanted:
        if section.anonymous and (reached := beyond_loopback(section.listen)):
            worker.log.warning("whoever reaches this may place calls: no API keys", listen=reached)
        return Access(gate=gate, now=trio.current_time)
    locks = Locks(time.time)
    # Their imports take a fifth of the time of all others; only who has keys or tokens pays for them.
    if ledger is not None:
        from workers.signaling.client_secrets import ClientSecrets

        assignment = worker.assignment
        secrets = ClientSecrets(assignment.ufrag_keys, assignment.mint_with, os.urandom)
        locks = locks._replace(
            own=Own(ApiKeys(Path(section.api_keys), worker.log), secrets, ledger)
        )
    if auth.wanted:
        from workers.signaling.tokens import Tokens

        source = published or FileKeys(Path(auth.jwks_file), worker.log)
        locks = locks._replace(tokens=Tokens(source, auth))
    return Access(locks, gate, now=trio.current_time)


def beyond_loopback(listen: Iterable[Endpoint]) -> str:
    """Which of these other hosts may reach, for the log."""
    return ", ".join(str(each) for each in listen if not ip_address(each.host).is_loopback)


def connections_within(wanted: int, descriptors: int) -> int:
    """How many clients may be connected, so that strangers never take the descriptors we live on."""
    return max(1, min(wanted, descriptors - RESERVED_DESCRIPTORS))


async def _know(worker: Worker, switchboard: Switchboard, steering: Steering) -> None:
    """Wait for the first table: whoever connects before that waits in the kernel and is not sent away.

    A successor is given it when its predecessor, which listens on the same sockets, is told to drain.
    """
    async with trio.open_nursery() as nursery:

        async def hear() -> None:
            async for command in worker.commands:
                _heed(command, switchboard, steering)
                if isinstance(command, Transceivers):
                    break
            nursery.cancel_scope.cancel()

        nursery.start_soon(hear)
        await worker.draining.wait()
        nursery.cancel_scope.cancel()


async def _follow(worker: Worker, switchboard: Switchboard, steering: Steering) -> None:
    async for command in worker.commands:
        _heed(command, switchboard, steering)


def _heed(command: Command, switchboard: Switchboard, steering: Steering) -> None:
    if isinstance(command, Transceivers):
        switchboard.update(command)
        steering.drain(draining=command.draining)
    elif isinstance(command, FleetView):
        switchboard.learn(command)
        steering.learn(command)


async def _receive(worker: Worker, guests: Guests, at: Endpoint) -> None:
    """Other hosts' calls, until drained: a successor waits for the address."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(guests.serve, at)
        await worker.draining.wait()
        nursery.cancel_scope.cancel()


def _stats(
    worker: Worker,
    server: HttpServer,
    switchboard: Switchboard,
    guests: Guests | None,
    ledger: Ledger | None,
    sidebands: Sidebands,
) -> SignalingStats:
    return SignalingStats(
        worker=worker.assignment.name,
        usage=worker.usage(),
        connections=server.connections,
        responses={str(status): count for status, count in server.responses.items()},
        guarded=server.guarded,
        evicted=server.evicted,
        placed=dict(switchboard.placed),
        guests=dict(guests.counters) if guests else {},
        secrets=dict(ledger.counters) if ledger else {},
        sidebands=dict(sidebands.counters),
    )
