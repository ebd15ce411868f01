"""Who has to hear what of the others, and when: each gets the whole truth at its Hello and at every change.

relays         the routes of the transceivers
transceivers   the link addresses of the relays
signaling      the transceivers, and which of them take sessions: it accepts connections when it knows;
               and the other hosts, where calls may be placed, too
realtime       nothing: transceivers come to it, as to any back end
fleet          this host, for the others; and what an earlier process of it has found out of those
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from appliance.supervisor.core.fleet import Fleet
from appliance.supervisor.core.interface import Send
from appliance.supervisor.core.links import RelayLinks
from appliance.supervisor.core.neighbours import Neighbours, lasting, without_numbers
from appliance.supervisor.core.routes import RouteTable
from appliance.supervisor.core.worker import Worker
from config.ids import Endpoint, Instant, Role
from ipc.messages.fleet import Announce, FleetHost, FleetView
from ipc.messages.routes import TransceiverEntry, Transceivers

REPEAT_EVERY: Final = 5.0
"""Seconds after which everybody is told again what has not changed."""
NUMBERS_EVERY: Final = 1.0
"""The same in a fleet: other hosts hear numbers of sessions by it."""


class Distribution:
    """What has been told, and what has been acknowledged."""

    def __init__(self, neighbours: Neighbours) -> None:
        self.routes = RouteTable()
        self.links = RelayLinks()
        self._neighbours = neighbours
        self._told: Transceivers | None = None
        self._announced: Announce | None = None
        self._shown: FleetView | None = None
        self._own: FleetHost | None = None

    @property
    def hosts(self) -> tuple[FleetHost, ...]:
        """This one as it describes itself, then all others that it knows; nobody before the start."""
        return (self._own, *self._neighbours.view.hosts) if self._own else ()

    def greet(self, worker: Worker, truth: Transceivers) -> list[Send]:
        """What a process is told after its Welcome."""
        match worker.spec.role:
            case Role.RELAY:
                return [worker.send(self.routes.message())]
            case Role.TRANSCEIVER:
                return [worker.send(self.links.message())]
            case Role.SIGNALING:  # one that joins is told when it has: until then it serves nobody
                if worker.joining:
                    return []
                others = self._neighbours.view
                known = [worker.send(others)] if worker.config.in_fleet else []
                return [*known, worker.send(truth)]
            case Role.REALTIME | Role.TELEMETRY:
                return []  # they are found, or ask
            case Role.FLEET:
                self._announced = None
                return [worker.send(self._neighbours.view)]

    def gone(self, worker: Worker) -> None:
        """Its process, which acknowledged this and that, has ended or released its name."""
        self.routes.forget_relay(worker.name)
        self.links.forget_transceiver(worker.name)

    def repeat(self) -> None:
        """Tell signaling and the fleet again: for numbers of sessions, or because somebody has joined."""
        self._told = self._announced = self._shown = None

    def repeat_at(self, fleet: Fleet, now: Instant) -> Instant:
        """When to do so next."""
        return now + (NUMBERS_EVERY if fleet.config.in_fleet else REPEAT_EVERY)

    def replace_links(self, links: tuple[tuple[Endpoint, ...], ...], fleet: Fleet) -> list[Send]:
        """These are this host's relays' link addresses from now on."""
        return self._tell_links(fleet) if self.links.replace(links) else []

    def update_links(self, fleet: Fleet) -> list[Send]:
        """Tell transceivers which relays of other hosts there are now."""
        return self._tell_links(fleet) if self.links.join(self._neighbours.links) else []

    def _tell_links(self, fleet: Fleet) -> list[Send]:
        message = self.links.message()
        return [w.send(message) for w in fleet.of(Role.TRANSCEIVER) if _hears(w)]

    def links_known(self, fleet: Fleet) -> bool:
        """Every transceiver that may have sessions hears the relays that there are now."""
        return self.links.known_to([w.name for w in fleet.of(Role.TRANSCEIVER) if w.serves])

    def is_known(self, transceiver: Worker) -> bool:
        """Every relay knows its route."""
        return transceiver.route is not None and self.routes.is_confirmed(transceiver.route)

    def update_routes(self, fleet: Fleet) -> list[Send]:
        """Tell relays which transceivers there are now, and see what they have acknowledged."""
        serving = (w for w in fleet.of(Role.TRANSCEIVER) if w.serves)
        own = {w.route: w.link for w in serving if w.route and w.link}
        links = self._neighbours.routes | own
        relays = [w for w in fleet.of(Role.RELAY) if _hears(w)]
        changed = self.routes.replace(links, self._neighbours.beyond.for_host(fleet.config))
        if fleet.of(Role.RELAY):
            self.routes.confirm([relay.name for relay in relays])
        else:
            self.routes.confirm_all()
        return [relay.send(self.routes.message()) for relay in relays] if changed else []

    def update_signaling(self, fleet: Fleet, truth: Transceivers) -> list[Send]:
        """Tell signaling what has changed for it."""
        others, shown = self._neighbours.view, self._shown
        news: list[FleetView | Transceivers] = []
        if not fleet.config.in_fleet:
            pass
        elif shown is None or lasting(others.hosts) != lasting(shown.hosts):
            self._shown = others
            news.append(others)
        if truth != self._told:
            self._told = truth
            news.append(truth)
        hear = [w for w in fleet.of(Role.SIGNALING) if w.welcomed and not w.joining]
        return [worker.send(message) for worker in hear for message in news]

    def update_fleet(
        self, fleet: Fleet, state: str, entries: Collection[TransceiverEntry]
    ) -> list[Send]:
        """Tell the fleet what has changed for it."""
        told = self._announced
        announce = self._neighbours.announcement(fleet, state, self.links.own, entries)
        self._own = announce.own
        if told is not None and without_numbers(told) == without_numbers(announce):
            return []
        self._announced = announce
        return [w.send(announce) for w in fleet.of(Role.FLEET) if _hears(w)]


def _hears(worker: Worker) -> bool:
    return worker.welcomed and worker.life.has_process
