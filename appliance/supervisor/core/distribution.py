"""Who has to hear what of the others, and when: each gets the whole truth at its Hello and at every change.

relays         the routes of the transceivers
transceivers   the link addresses of the relays
signaling      the transceivers, and which of them take sessions: it accepts connections when it knows
realtime       nothing: transceivers come to it, as to any back end
"""

from __future__ import annotations

from appliance.supervisor.core.fleet import Fleet
from appliance.supervisor.core.interface import Send
from appliance.supervisor.core.links import RelayLinks
from appliance.supervisor.core.routes import RouteTable
from appliance.supervisor.core.worker import Worker
from config.ids import Endpoint, Role
from ipc.messages.routes import Transceivers


class Distribution:
    """What has been told, and what has been acknowledged."""

    def __init__(self) -> None:
        self.routes = RouteTable()
        self.links = RelayLinks()
        self._told: Transceivers | None = None

    def greet(self, worker: Worker, truth: Transceivers) -> Send | None:
        """What a process is told after its Welcome, if there is anything."""
        match worker.spec.role:
            case Role.RELAY:
                return worker.send(self.routes.message())
            case Role.TRANSCEIVER:
                return worker.send(self.links.message())
            case Role.SIGNALING:  # one that joins is told when it has: until then it serves nobody
                return None if worker.joining else worker.send(truth)
            case Role.REALTIME:
                return None  # transceivers find it

    def gone(self, worker: Worker) -> None:
        """Its process, which acknowledged this and that, has ended or released its name."""
        self.routes.forget_relay(worker.name)
        self.links.forget_transceiver(worker.name)

    def repeat(self) -> None:
        """Tell signaling again: for the numbers of sessions in it, or because somebody has joined."""
        self._told = None

    def replace_links(self, links: tuple[Endpoint, ...], fleet: Fleet) -> list[Send]:
        """These are the relays' link addresses from now on."""
        if not self.links.replace(links):
            return []
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
        links = {w.route: w.link for w in serving if w.route and w.link}
        relays = [w for w in fleet.of(Role.RELAY) if _hears(w)]
        changed = self.routes.replace(links)
        self.routes.confirm([relay.name for relay in relays])
        return [relay.send(self.routes.message()) for relay in relays] if changed else []

    def update_signaling(self, fleet: Fleet, truth: Transceivers) -> list[Send]:
        """Tell signaling what has changed for it."""
        if truth == self._told:
            return []
        self._told = truth
        return [w.send(truth) for w in fleet.of(Role.SIGNALING) if w.welcomed and not w.joining]


def _hears(worker: Worker) -> bool:
    return worker.welcomed and worker.life.has_process
