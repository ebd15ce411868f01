"""The other hosts of the fleet, as far as this one's workers are concerned, and this one for theirs.

Relays of this host route to the transceivers of every host of its cluster, and its transceivers hear all of
their relays. What another host says never takes the place of what is known here by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from appliance.supervisor.core.beyond import MOST_CLUSTERS, Beyond, look_beyond
from appliance.supervisor.core.fleet import Fleet
from appliance.supervisor.core.interface import KeepHosts, KeepNumbers
from appliance.supervisor.core.placement import have_room
from appliance.supervisor.core.spec import WorkerSpec
from appliance.supervisor.core.worker import Worker
from config.ids import ClusterId, Endpoint, Epoch, HostId, Role, Route, TransceiverId
from config.model import Config
from ipc.messages.fleet import (
    Announce,
    FleetDoor,
    FleetHost,
    FleetPlace,
    FleetTransceiver,
    FleetView,
    IdsLeased,
)
from ipc.messages.routes import TransceiverEntry

EPOCHS: Final = 1 << 16
WITHOUT_NUMBER: Final = "waits for a number of its own: redis has not given it one yet"
CROWDED, ROOMY = 0.9, 0.8
"""Share of the flows that relays can have, from which on they are crowded, and below which no more."""
NUMBERS: Final = 6
"""For each transceiver: a roll needs more while old ones finish their sessions, also when Redis is away."""


class Neighbours:
    """What the fleet worker has said, and what it is told."""

    def __init__(
        self,
        config: Config,
        host: HostId,
        ids: Sequence[TransceiverId],
        view: FleetView = FleetView(()),  # noqa: B008  # a value
    ) -> None:
        """`ids`: numbers of transceivers that this host has leased earlier and has still.

        `view`: what an earlier supervisor knew. Workers that it left route by it: they must not hear less.
        """
        self._config = config
        self._host = host
        self.ids = tuple(ids)
        self.listening: tuple[Endpoint, ...] = ()
        """What answers advertise if the configuration does not say it."""
        self._crowded = False
        self._door: FleetDoor | None = None
        """The last: others must know it also while nobody is behind it, for calls of theirs are here."""
        self._hosts: tuple[FleetHost, ...] = ()
        self.routes: dict[Route, Endpoint] = {}
        """Where transceivers of other hosts are."""
        self.links: tuple[Endpoint, ...] = ()
        """The link addresses of other hosts' relays."""
        self.beyond = Beyond()
        """What hosts of other clusters have for relays of this one."""
        self._take(view)

    @property
    def view(self) -> FleetView:
        """All other hosts."""
        return FleetView(self._hosts)

    def hear(self, news: FleetView | IdsLeased) -> list[KeepHosts | KeepNumbers]:
        """The fleet worker's word, and what of it is to outlive us."""
        if isinstance(news, IdsLeased):
            self.ids = news.ids
            return [KeepNumbers(news.ids)]
        return [KeepHosts(news)] if self._take(news) else []

    def _take(self, view: FleetView) -> bool:
        """The whole truth from now on. True if that changed anything for routes and links."""
        before = self.routes, self.links, self.beyond
        self._hosts = tuple(host for host in view.hosts if host.host != self._host)
        near = [host for host in self._hosts if host.cluster == self._config.cluster.id]
        self.routes = {t.route: t.link for host in near for t in host.transceivers}
        self.links = tuple(sorted({link for host in near for link in host.relays}))
        self.beyond = look_beyond(self._hosts, self._config.cluster.id)
        return before != (self.routes, self.links, self.beyond)

    def come_in(self, fleet: Fleet) -> bool:
        """Clients can, by a relay of this host that has room, or of another one if there is none here."""
        relays = fleet.of(Role.RELAY)
        if not relays:
            return bool(self.links)
        return have_room(relays, self._config.relay.max_flows)

    def missing(self, fleet: Fleet) -> str:
        """What workers of other hosts this one needs and does not know of; empty if none."""
        if not (fleet.of(Role.RELAY) or self.links):
            return "no relay of another host is known: clients cannot come in, and none is here"
        alone = not (fleet.of(Role.TRANSCEIVER) or self.routes)
        config = fleet.config
        if alone and not (config.cluster.others or self.beyond.for_host(config).clusters):
            return "no transceiver of another host is known: there is nobody to forward to"
        return ""

    def has_number(self, spec: WorkerSpec) -> bool:
        """It can be started: it is no transceiver, or one that has a number."""
        return spec.role is not Role.TRANSCEIVER or self._number(spec.index) is not None

    def route(self, spec: WorkerSpec, generation: int) -> Route | None:
        """A transceiver's, of the process with that number."""
        number = self._number(spec.index) if spec.role is Role.TRANSCEIVER else None
        if number is None:
            return None
        return Route(self._config.cluster.id, number, Epoch(generation % EPOCHS))

    def _number(self, index: int) -> TransceiverId | None:
        if self._config.redis.url:
            return self.ids[index] if index < len(self.ids) else None
        return TransceiverId(self._config.transceiver.first_id + index)

    def announcement(
        self,
        fleet: Fleet,
        state: str,
        links: tuple[Endpoint, ...],
        entries: Collection[TransceiverEntry],
    ) -> Announce:
        """This host, for the others."""
        accepting = {entry.route for entry in entries if entry.accepting}
        transceivers, told = fleet.of(Role.TRANSCEIVER), fleet.config.fleet
        serving = [w for w in transceivers if w.serves and w.route and w.link]
        return Announce(
            FleetHost(
                host=self._host,
                cluster=self._config.cluster.id,
                state=state,
                advertise=fleet.config.relay.advertise or self.listening,
                relays=links,
                transceivers=tuple(
                    FleetTransceiver(w.route, w.link, w.route in accepting)
                    for w in serving
                    if w.route and w.link
                ),
                sessions=sum(w.sessions for w in serving),
                max_sessions=len(accepting) * fleet.config.transceiver.max_sessions,
                door=self._find_door(fleet),
                crowded=self._is_crowded(fleet),
                place=FleetPlace(told.site, told.location, told.countries),
                ingress=fleet.config.cluster.ingress,
                forwards=self._forwards(fleet.config) if links else (),
            ),
            ids=self.ids,
            wanted=self._wanted(transceivers) if self._config.redis.url else 0,
        )

    def _forwards(self, config: Config) -> tuple[ClusterId, ...]:
        told = {each.cluster for each in self.beyond.for_host(config).clusters}
        return tuple(sorted(told | config.cluster.others.keys()))[:MOST_CLUSTERS]

    def _is_crowded(self, fleet: Fleet) -> bool:
        relays = [worker for worker in fleet.of(Role.RELAY) if worker.serves]
        bound = ROOMY if self._crowded else CROWDED
        room = len(relays) * fleet.config.relay.max_flows
        self._crowded = sum(worker.sessions for worker in relays) > bound * room
        return self._crowded

    def _find_door(self, fleet: Fleet) -> FleetDoor | None:
        """Where signaling lets other hosts in, if it does; during a roll at the worker that stays."""
        at, last = fleet.config.fleet.calls, self._door
        workers = sorted(fleet.of(Role.SIGNALING), key=lambda worker: not worker.stays)
        opener = next((worker for worker in workers if worker.serves and worker.door), None)
        if at is None:
            self._door = None
        elif opener is not None:
            self._door = FleetDoor(at, opener.door, opener.generation)
        elif last is not None:
            self._door = msgspec.structs.replace(last, at=at, open=False)
        return self._door

    def _wanted(self, transceivers: Sequence[Worker]) -> int:
        if not transceivers:
            return 0
        staying = sum(worker.stays for worker in transceivers)
        return max(NUMBERS * staying, *(worker.spec.index + 1 for worker in transceivers), 1)


def lasting(hosts: Sequence[FleetHost]) -> list[FleetHost]:
    """Without what changes all the time: by this one sees whether there is news."""
    return [msgspec.structs.replace(host, sessions=0, silence=0.0) for host in hosts]


def without_numbers(announce: Announce) -> Announce:
    """The same of what the fleet is told."""
    return msgspec.structs.replace(announce, own=msgspec.structs.replace(announce.own, sessions=0))
