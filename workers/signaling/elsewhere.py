"""The other hosts, as far as calls can be placed there. Sans-IO.

What is known of them is half a second old, or as old as the silence of whoever tells. Whether a host takes
a call is its own word; here is decided only whom to ask, and whom not to ask again soon.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Final

from config.ids import ClusterId, HostId, Instant, Route
from ipc.messages.fleet import FleetDoor, FleetHost, FleetPlace, FleetView
from ipc.messages.routes import TransceiverEntry
from workers.signaling.recent import Recent
from workers.signaling.whereabouts import Farness, Location, Whereabouts, farness, is_nearer

DOUBT: Final = 5.0
"""Seconds for which a host that did not answer is asked after all others."""
_OPEN: Final = frozenset({"ready", "degraded"})
_LEAVING: Final = frozenset({"cordoned", "draining"})


class Elsewhere:
    """The fleet's view, and what we have found out ourselves."""

    def __init__(
        self,
        cluster: ClusterId = ClusterId(0),  # noqa: B008  # a value
        here: FleetPlace | None = None,
    ) -> None:
        """`cluster`: our own. `here`: where we are, if calls are to go to hosts that are nearer."""
        self.cluster = cluster
        self._here = here
        self._hosts: tuple[FleetHost, ...] = ()
        self._doors: dict[str, FleetDoor] = {}
        self._owners: dict[Route, TransceiverEntry] = {}
        self._host_of: dict[Route, HostId] = {}
        self._recent: Recent[HostId] = Recent()
        self._doubted: dict[HostId, Instant] = {}

    def update(self, view: FleetView) -> None:
        """The newest whole truth."""
        self._hosts = tuple(host for host in view.hosts if host.door is not None)
        self._doors = {_rpc(host.door): host.door for host in self._hosts if host.door}
        self._owners = {
            each.route: TransceiverEntry(each.route, rpc_of(host), 0, 0, accepting=False)
            for host in self._hosts
            for each in host.transceivers
        }
        self._host_of = {t.route: host.host for host in self._hosts for t in host.transceivers}

    @property
    def doors(self) -> Mapping[str, FleetDoor]:
        """By their end points."""
        return self._doors

    @property
    def ready(self) -> bool:
        """Somebody there takes calls."""
        return any(map(_accepts, self._hosts))

    def choose(
        self,
        now: Instant,
        *,
        avoid: Container[HostId] = (),
        nearer_to: Whereabouts | None = None,
    ) -> FleetHost | None:
        """Whom to ask now, counted as placed there: our own cluster first, then who has most room.

        `nearer_to`: only such as are nearer to that client than we are, the nearest first.
        """
        self._recent.forget(now)
        self._doubted = {host: until for host, until in self._doubted.items() if until > now}
        free = [host for host in self._hosts if _accepts(host) and host.host not in avoid]
        if nearer_to is not None:
            free = self._nearer(free, nearer_to)
        chosen = min(free, key=self._rating, default=None)
        if chosen is None:
            return None
        self._recent.add(chosen.host, now)
        return chosen

    def asked(self, now: Instant) -> tuple[FleetHost, ...]:
        """Those that should answer, where calls of our clients are: in our cluster, if not everywhere."""
        return tuple(
            host
            for host in self._hosts
            if host.fresh
            and _is_open(host)
            and (host.cluster == self.cluster or self._here is not None)
            and self._doubted.get(host.host, now) <= now
        )

    def doubt(self, host: HostId, now: Instant) -> None:
        """It did not answer."""
        self._doubted[host] = now + DOUBT

    def owner(self, route: Route) -> TransceiverEntry | None:
        """Whom to ask about the sessions of that transceiver; None if it is gone."""
        return self._owners.get(route)

    def host_of(self, route: Route) -> HostId | None:
        """Whose that transceiver is."""
        return self._host_of.get(route)

    def is_draining(self, host: HostId) -> bool:
        """It was so when it was heard of last."""
        return any(each.host == host and each.state in _LEAVING for each in self._hosts)

    def _nearer(self, hosts: Iterable[FleetHost], client: Whereabouts) -> list[FleetHost]:
        """Those that are nearest to the client, if they are nearer than we and answer."""
        if self._here is None:
            return []
        own = _farness(client, self._here)
        asked = (host for host in hosts if host.host not in self._doubted)
        far = [(_farness(client, host.place), host) for host in asked]
        near = [(there, host) for there, host in far if is_nearer(there, own)]
        nearest = min((there for there, _ in near), default=own)
        return [host for there, host in near if not is_nearer(nearest, there)]

    def _rating(self, host: FleetHost) -> tuple[bool, bool, float]:
        return host.host in self._doubted, host.cluster != self.cluster, self._load(host)

    def _load(self, host: FleetHost) -> float:
        return (host.sessions + self._recent[host.host]) / max(1, host.max_sessions)


def rpc_of(host: FleetHost) -> str:
    """The end point of its door."""
    return _rpc(host.door) if host.door else ""


def _rpc(door: FleetDoor) -> str:
    return f"tcp://{door.at}"


def _accepts(host: FleetHost) -> bool:
    takes = host.fresh and host.state in _OPEN and _is_open(host)
    return takes and any(t.accepting for t in host.transceivers)


def _is_open(host: FleetHost) -> bool:
    """There is somebody who answers. If not, those who ask about a call wait until there is."""
    return host.door is not None and host.door.open


def _farness(client: Whereabouts, place: FleetPlace) -> Farness:
    return farness(client, Location(*place.location) if place.location else None, place.countries)
