"""What travels between hosts: a beat that says "I live", and what a host is.

A beat is some dozens of bytes and comes twice a second. What the host is changes seldom; its version says
whether it has. Both are msgpack arrays. Between peers they travel together, one datagram for both.

Whatever comes from elsewhere is checked here to the last field: an address that is none would otherwise
meet a socket call, and a name in its place even a resolver.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

import msgspec

from config.ids import ClusterId, Endpoint, Epoch, HostId, Route, TransceiverId
from config.places import MOST_COUNTRIES, MOST_NAME, is_country, is_location
from ipc.curve import is_key
from ipc.messages.fleet import FleetDoor, FleetHost, FleetPlace, FleetTransceiver

FORMAT: Final = 1
"""Of all that is here; hosts of another one do not see each other."""
MAX_NOTICE: Final = 60_000
"""Bytes of one, so that it fits a datagram."""
MOST_WORKERS: Final = 512
"""Relays, or transceivers, of one host; of one that drains there are two boots at once."""
MOST_ADDRESSES: Final = 64
MOST_CLUSTERS: Final = 256
"""To which one host forwards."""
_HOST_DIGITS: Final = 16
_NOTHING: Final = b"\xc0"
"""nil"""
_STATES: Final = frozenset({"starting", "ready", "degraded", "cordoned", "draining"})


class Unbelievable(Exception):
    """It is not what a host of this format says; the text is a word for a counter."""


class Beat(msgspec.Struct, frozen=True):
    """A sign of life."""

    host: HostId
    incarnation: int
    """Of the process that says so: another one counts from zero again."""
    version: int
    """Of what the host is, within the incarnation."""
    count: int
    """Of beats, within the incarnation."""
    sessions: int


class _Wire(msgspec.Struct, array_like=True, frozen=True):
    format: int
    host: str
    incarnation: int
    version: int
    count: int
    sessions: int
    what: msgspec.Raw = msgspec.Raw(_NOTHING)


class _Door(msgspec.Struct, array_like=True, frozen=True):
    at: Endpoint
    key: str
    opened: int = 0
    open: bool = True


class _Place(msgspec.Struct, array_like=True, frozen=True):
    site: str = ""
    location: list[float] = []
    countries: list[str] = []


class _What(msgspec.Struct, array_like=True, frozen=True):
    cluster: int
    state: str
    advertise: list[Endpoint]
    relays: list[Endpoint]
    transceivers: list[tuple[int, int, Endpoint, bool]]
    max_sessions: int
    door: _Door | None = None
    crowded: bool = False
    place: _Place = _Place()
    ingress: Endpoint | None = None
    forwards: list[int] = []


_encoder: Final = msgspec.msgpack.Encoder()
_beats: Final = msgspec.msgpack.Decoder(_Wire)
_hosts: Final = msgspec.msgpack.Decoder(_What)


def encode_beat(beat: Beat) -> bytes:
    """A beat alone."""
    return _encoder.encode(_wire(beat))


def encode_notice(beat: Beat, host: FleetHost) -> bytes:
    """A beat and what its host is, for a datagram."""
    return _encoder.encode(_wire(beat, encode_host(host)))


def _wire(beat: Beat, what: bytes = _NOTHING) -> _Wire:
    return _Wire(
        FORMAT,
        beat.host,
        beat.incarnation,
        beat.version,
        beat.count,
        beat.sessions,
        msgspec.Raw(what),
    )


def encode_host(host: FleetHost) -> bytes:
    """What a host is."""
    what = _What(
        host.cluster,
        host.state,
        list(host.advertise),
        list(host.relays),
        [(t.route.transceiver, t.route.epoch, t.link, t.accepting) for t in host.transceivers],
        host.max_sessions,
        None if (door := host.door) is None else _Door(door.at, door.key, door.opened, door.open),
        host.crowded,
        _Place(host.place.site, list(host.place.location), list(host.place.countries)),
        host.ingress,
        list(host.forwards),
    )
    return _encoder.encode(what)


def parse_notice(data: bytes) -> tuple[Beat, FleetHost | None]:
    """A beat, and what its host is if that came with it. Raises Unbelievable."""
    if len(data) > MAX_NOTICE:
        raise Unbelievable("oversize")
    try:
        wire = _beats.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unbelievable("malformed") from error
    if wire.format != FORMAT:
        raise Unbelievable("other_format")
    if len(wire.host) != _HOST_DIGITS or not all(c in "0123456789abcdef" for c in wire.host):
        raise Unbelievable("malformed")
    numbers = (wire.incarnation, wire.version, wire.count, wire.sessions)
    if not all(0 <= number < 1 << 63 for number in numbers):
        raise Unbelievable("malformed")
    beat = Beat(HostId(wire.host), *numbers)
    what = bytes(wire.what)
    return beat, None if what == _NOTHING else parse_host(beat.host, what)


def parse_host(host: HostId, data: bytes) -> FleetHost:
    """What a host is. Raises Unbelievable."""
    if len(data) > MAX_NOTICE:
        raise Unbelievable("oversize")
    try:
        what = _hosts.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unbelievable("malformed") from error
    if what.state not in _STATES or not 0 <= what.max_sessions < 1 << 31:
        raise Unbelievable("malformed")
    if max(len(what.relays), len(what.transceivers)) > MOST_WORKERS:
        raise Unbelievable("oversize")
    if len(what.advertise) > MOST_ADDRESSES or len(what.forwards) > MOST_CLUSTERS:
        raise Unbelievable("oversize")
    cluster = ClusterId(_u16(what.cluster))
    return FleetHost(
        host=host,
        cluster=cluster,
        state=what.state,
        advertise=tuple(map(_endpoint, what.advertise)),
        relays=tuple(map(_endpoint, what.relays)),
        transceivers=tuple(
            FleetTransceiver(
                Route(cluster, TransceiverId(_u16(number)), Epoch(_u16(epoch))),
                _endpoint(link),
                accepting,
            )
            for number, epoch, link, accepting in what.transceivers
        ),
        max_sessions=what.max_sessions,
        door=None if what.door is None else _door(what.door),
        crowded=what.crowded,
        place=_place(what.place),
        ingress=None if what.ingress is None else _endpoint(what.ingress),
        forwards=tuple(ClusterId(_u16(number)) for number in what.forwards),
    )


def _u16(number: int) -> int:
    if not 0 <= number < 1 << 16:
        raise Unbelievable("malformed")
    return number


def _door(wire: _Door) -> FleetDoor:
    if not is_key(wire.key) or not 0 <= wire.opened < 1 << 63:
        raise Unbelievable("malformed")
    return FleetDoor(_endpoint(wire.at), wire.key, wire.opened, wire.open)


def _place(wire: _Place) -> FleetPlace:
    if len(wire.site) > MOST_NAME or not wire.site.isprintable():
        raise Unbelievable("malformed")
    if len(wire.countries) > MOST_COUNTRIES or not all(map(is_country, wire.countries)):
        raise Unbelievable("malformed")
    if not is_location(wire.location):
        raise Unbelievable("malformed")
    return FleetPlace(wire.site, tuple(wire.location), tuple(wire.countries))


def _endpoint(wire: Endpoint) -> Endpoint:
    host, port = wire
    try:
        address = ip_address(host)
    except ValueError as error:
        raise Unbelievable("malformed") from error
    if str(address) != host or address.is_unspecified or address.is_multicast:
        raise Unbelievable("malformed")
    if not 0 < port < 1 << 16:
        raise Unbelievable("malformed")
    return wire
