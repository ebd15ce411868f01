"""What a relay leaves of its TCP connections, beside their descriptors, for the next one of its name.

A connection is a socket, what of a frame is under way in each direction, and what it is to us: a flow under
its label, or a stranger with some seconds left. The flows of UDP are in shared memory; those over TCP are
few, end with their connection, and are only here. The slots go along, so that a label which is not taken
over is not given to anybody else while records under it may be on their way (core/flowtable).

It comes from a process of this appliance, but maybe one of another version, or with a bug: nothing of it is
believed that would not hold.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from math import isfinite
from typing import Final

import msgspec

from config.ids import MAX_PORT, Endpoint, Route
from workers.wire.framing import LENGTH_SIZE
from workers.wire.link import MAX_PAYLOAD, SLOT_BITS

_U16: Final = 1 << 16
_LABELS: Final = 1 << SLOT_BITS + 8
_LONGEST: Final = LENGTH_SIZE + MAX_PAYLOAD


class EstateError(Exception):
    """It is none; the text says why."""


class LeftFlow(msgspec.Struct, frozen=True):
    """The flow on a connection that a transceiver has vouched for."""

    label: int
    route: Route
    link: Endpoint
    """Where it leads."""
    silence: float
    """Seconds since its client's last datagram."""


class LeftConnection(msgspec.Struct, frozen=True, omit_defaults=True):
    """One connection; the descriptor is at the same place of the parcel."""

    local: Endpoint
    """The listener that it came by."""
    rest: bytes = b""
    """The beginning of a frame of its client's."""
    unsent: bytes = b""
    """The end of a frame to its client."""
    flow: LeftFlow | None = None
    within: float = 0.0
    """Without a flow: seconds left in which one must come."""


class Estate(msgspec.Struct, frozen=True, omit_defaults=True):
    """A part of what is left; the first part has the slots."""

    at: float
    """When it was left: seconds of CLOCK_MONOTONIC."""
    connections: tuple[LeftConnection, ...] = ()
    slots: bytes = b""
    """Generations of the slots that have ever had a label."""


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Estate)


def encode_estate(estate: Estate) -> bytes:
    """Bytes of it."""
    return _encoder.encode(estate)


def decode_estate(data: bytes) -> Estate:
    """Inverse of `encode_estate`. Raises EstateError."""
    try:
        estate = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise EstateError(str(error)) from None
    if not isfinite(estate.at) or not all(map(_holds, estate.connections)):
        raise EstateError("a value that none has")
    return estate


def may_be_left(connection: LeftConnection) -> bool:
    """Nothing of it is longer than a frame to or from a client can be."""
    return max(len(connection.rest), len(connection.unsent)) <= _LONGEST


def _holds(connection: LeftConnection) -> bool:
    flow = connection.flow
    return (
        may_be_left(connection)
        and _is_address(connection.local)
        and 0 <= connection.within < _U16
        and (flow is None or _flow_holds(flow))
    )


def _flow_holds(flow: LeftFlow) -> bool:
    return (
        0 <= flow.label < _LABELS
        and all(0 <= number < _U16 for number in flow.route)
        and _is_address(flow.link)
        and 0 <= flow.silence < float("inf")
    )


@lru_cache(256)  # there are few listeners and transceivers
def _is_address(endpoint: Endpoint) -> bool:
    """An address as a socket gives it, and a port."""
    try:
        return str(ip_address(endpoint.host)) == endpoint.host and 0 <= endpoint.port <= MAX_PORT
    except ValueError:
        return False
