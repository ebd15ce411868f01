"""The other hosts, as far as calls can be placed there. Sans-IO.

What is known of them is half a second old, or as old as the silence of whoever tells. Whether a host takes
a call is its own word; here is decided only whom to ask, and whom not to ask again soon.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Final

from config.ids import ClusterId, HostId, Instant, Route
from ipc.messages.fleet import FleetDoor, FleetHost, FleetView
from ipc.messages.routes import TransceiverEntry
from workers.signaling.recent import Recent

DOUBT: Final = 5.0
"""Seconds for which a host that did not answer is asked after all others."""
_OPEN: Final = frozenset({"ready", "degraded"})


class Elsewhere:
    """The fleet's view, and what we have found out ourselves."""

    def __init__(self, cluster: ClusterId = ClusterId(0)) -> None:  # noqa: B008  # a value
        """`cluster`: our own."""
        self.cluster = cluster
        self._hosts: tuple[FleetHost, ...] = ()
        self._doors: dict[HostId, FleetDoor] = {}
        """The last of each. A host without one has no signaling for a moment, but its calls go on."""
        self._owners: dict[Route, TransceiverEntry] = {}
        self._recent: Recent[HostId] = Recent()
        self._doubted: dict[HostId, Instant] = {}

    def update(self, view: FleetView) -> None:
        """The newest whole truth."""
        self._hosts = tuple(host for host in view.hosts if host.door is not None)
        last = ((host.host, host.door or self._doors.get(host.host)) for host in view.hosts)
        self._doors = {host: door for host, door in last if door is not None}
        self._owners = {
            each.route: TransceiverEntry(each.route, _rpc(door), 0, 0, accepting=False)
            for host in view.hosts
            if (door := self._doors.get(host.host)) is not None
            for each in host.transceivers
        }

    @property
    def doors(self) -> Mapping[str, str]:
        """End point -> the public key that its host shows."""
        return {_rpc(door): door.key for door in self._doors.values()}

    @property
    def ready(self) -> bool:
        """Somebody there takes calls."""
        return any(map(_accepts, self._hosts))

    def choose(self, now: Instant, *, avoid: Container[HostId] = ()) -> FleetHost | None:
        """Whom to ask now, counted as placed there: our own cluster first, then who has most room."""
        self._recent.forget(now)
        self._doubted = {host: until for host, until in self._doubted.items() if until > now}
        free = [host for host in self._hosts if _accepts(host) and host.host not in avoid]
        if not free:
            return None
        chosen = min(free, key=self._rating)
        self._recent.add(chosen.host, now)
        return chosen

    def asked(self, now: Instant) -> tuple[FleetHost, ...]:
        """Those of our cluster that should answer."""
        return tuple(
            host
            for host in self._hosts
            if host.fresh
            and host.cluster == self.cluster
            and self._doubted.get(host.host, now) <= now
        )

    def doubt(self, host: HostId, now: Instant) -> None:
        """It did not answer."""
        self._doubted[host] = now + DOUBT

    def owner(self, route: Route) -> TransceiverEntry | None:
        """Whom to ask about the sessions of that transceiver; None if it is gone."""
        return self._owners.get(route)

    def _rating(self, host: FleetHost) -> tuple[bool, bool, float]:
        sessions = host.sessions + self._recent[host.host]
        return (
            host.host in self._doubted,
            host.cluster != self.cluster,
            sessions / max(1, host.max_sessions),
        )


def rpc_of(host: FleetHost) -> str:
    """The end point of its door."""
    return _rpc(host.door) if host.door else ""


def _rpc(door: FleetDoor) -> str:
    return f"tcp://{door.at}"


def _accepts(host: FleetHost) -> bool:
    return host.fresh and host.state in _OPEN and any(t.accepting for t in host.transceivers)
