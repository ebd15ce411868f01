"""Where relays are, as far as a host knows: `tandem places`. Signaling says what answers make of it."""

from __future__ import annotations

import msgspec

from config.ids import ClusterId, Endpoint
from ipc.messages.lifecycle import Tagged


class PlacesRequest(Tagged, frozen=True):
    """Which places are known, and which would an answer name to a client there?

    Of the supervisor: answered with a PlaceList. Of signaling: with RankedPlaces.
    """

    location: tuple[float, ...] = ()
    """Latitude and longitude in degrees, or nothing."""
    country: str = ""
    """Like DE, or nothing."""


class RankedHost(msgspec.Struct, frozen=True):
    """A host of a place."""

    addresses: tuple[Endpoint, ...]
    health: str
    """`well`, `leaving` or `dead`: new clients had better not, or cannot, come in there."""


class RankedPlace(msgspec.Struct, frozen=True):
    """A place that answers choose among."""

    site: str
    listed: bool
    """In the configuration; then `hosts` are its addresses, as if they were one."""
    location: tuple[float, ...]
    countries: tuple[str, ...]
    hosts: tuple[RankedHost, ...]
    rank: int = 0
    """1: an answer names it first; 0: not at all."""
    km: float | None = None
    """From the client, if both are known."""


class RankedPlaces(Tagged, frozen=True):
    """Reply to PlacesRequest; the best first."""

    places: tuple[RankedPlace, ...]


class PlaceRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row of `tandem places`: a host of the fleet, or a place of the configuration."""

    site: str
    host: str = ""
    own: bool = False
    listed: bool = False
    cluster: ClusterId | None = None
    state: str = ""
    silence: float = 0.0
    """Seconds since it was heard of."""
    fresh: bool = True
    sessions: int = 0
    max_sessions: int = 0
    relays: int = 0
    transceivers: int = 0
    crowded: bool = False
    takes_calls: bool = False
    """Of other hosts."""
    addresses: tuple[Endpoint, ...] = ()
    location: tuple[float, ...] = ()
    countries: tuple[str, ...] = ()
    ingress: Endpoint | None = None
    """Where its relays take clients from Global Relays."""
    forwards: tuple[ClusterId, ...] = ()
    """Other clusters to which its relays know a way."""
    health: str = ""
    """As in RankedHost; empty: answers never name it."""
    rank: int = 0
    """As in RankedPlace."""
    km: float | None = None


class PlaceList(Tagged, frozen=True):
    """Reply to PlacesRequest."""

    rows: tuple[PlaceRow, ...]
    ranked: bool
    """Signaling of this host has said what answers make of it."""
