"""What hosts of a fleet know of each other: told by the supervisor to its `fleet` worker, and back.

Within the host both directions are the whole truth each time. Between hosts the same values travel through
Redis and between peers (workers/fleet/core/notice.py).
"""

from __future__ import annotations

import msgspec

from config.ids import ClusterId, Endpoint, HostId, Route, TransceiverId
from ipc.messages.lifecycle import Tagged


class FleetTransceiver(msgspec.Struct, frozen=True, omit_defaults=True):
    """A transceiver of a host."""

    route: Route
    link: Endpoint
    accepting: bool = True
    """It takes sessions."""


class FleetDoor(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where signaling of other hosts places calls on this one, and asks about them later."""

    at: Endpoint
    key: str
    """Public key of CURVE, which those of the fleet can tell to be of the fleet."""
    opened: int = 0
    """Which process has opened it, or did last: what was asked of an earlier one is lost."""
    open: bool = True
    """Not so while that process is being replaced: its host's calls go on and nothing new comes."""


class FleetPlace(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a host is, as its operator says."""

    site: str = ""
    """Name of the place where its relays are. Empty: answers of other hosts do not name them."""
    location: tuple[float, ...] = ()
    """Latitude and longitude in degrees, or nothing."""
    countries: tuple[str, ...] = ()


class FleetHost(msgspec.Struct, frozen=True, omit_defaults=True):
    """One host, as it describes itself."""

    host: HostId
    cluster: ClusterId
    state: str
    """As in `tandem status`: starting, ready, degraded, cordoned, draining."""
    advertise: tuple[Endpoint, ...] = ()
    """Relay addresses for answers."""
    relays: tuple[Endpoint, ...] = ()
    """Link addresses of its relays: transceivers of its cluster hear them."""
    transceivers: tuple[FleetTransceiver, ...] = ()
    sessions: int = 0
    max_sessions: int = 0
    door: FleetDoor | None = None
    """None: other hosts have no business there."""
    crowded: bool = False
    """Its relays have little room left for more clients."""
    place: FleetPlace = FleetPlace()
    ingress: Endpoint | None = None
    """Where its relays take clients from Global Relays."""
    forwards: tuple[ClusterId, ...] = ()
    """Other clusters to which its relays know a way."""
    fresh: bool = True
    """It has been heard of within the last seconds. Who routes need not care, who steers should."""
    silence: float = 0.0
    """Seconds since it was heard of."""


class Announce(Tagged, frozen=True):
    """To the fleet worker, on every change and once a second: this host, as the others should see it."""

    own: FleetHost
    ids: tuple[TransceiverId, ...] = ()
    """Numbers that it has for its transceivers, by their index."""
    wanted: int = 0
    """How many it needs."""


class FleetView(Tagged, frozen=True):
    """All other hosts that there are: to the supervisor on every change and after each Welcome.

    From there to signaling, at once when anything but numbers of sessions has changed, else once a second.
    """

    hosts: tuple[FleetHost, ...]


class CacheRequest(Tagged, frozen=True):
    """From a relay to the fleet worker: flows to write, to forget and to find. Keys as in docs/wire.md."""

    keep: tuple[tuple[bytes, Route], ...] = ()
    forget: tuple[bytes, ...] = ()
    find: tuple[bytes, ...] = ()


class CacheReply(Tagged, frozen=True):
    """Where the flows lead that were to be found, in their order; None if that is not known."""

    there: bool
    """The cache can be asked. If not, nothing was found out."""
    generation: int = 0
    """Another one than before has lost everything that was in it."""
    routes: tuple[Route | None, ...] = ()


class SpendSecret(Tagged, frozen=True):
    """From signaling to the fleet worker: a client secret that is for one call is placing it."""

    secret: str


class SecretSpent(Tagged, frozen=True):
    """Whether it is the first time in the fleet."""

    asked: bool
    """Redis has answered. If not, nothing was found out."""
    first: bool = True


class IdsLeased(Tagged, frozen=True):
    """To the supervisor: these numbers are this host's; by index, and kept where they were its already."""

    ids: tuple[TransceiverId, ...]
