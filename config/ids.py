"""Identifiers that every part of the house shares.

They live below everything else because a route is minted by a transceiver, read by a relay, shown by
the CLI and written in the config, and must mean the same in all four.
"""

from __future__ import annotations

from enum import IntEnum
from ipaddress import IPv6Address, ip_address
from typing import Final, NamedTuple, NewType

ClusterId = NewType("ClusterId", int)
"""u16, chosen by the operator; unique in a fleet."""
TransceiverId = NewType("TransceiverId", int)
"""u16, unique in its cluster."""
Epoch = NewType("Epoch", int)
"""u16 boot counter of a transceiver: a ufrag of an earlier boot is not routable."""
SessionId = NewType("SessionId", str)
"""`rtc_<cluster>_<token>`: a capability, unguessable and never on the wire outside signaling."""
HostId = NewType("HostId", str)
"""16 hex digits that a host has given itself at its first start."""
WorkerName = NewType("WorkerName", str)
"""`<role>-<index>`, e.g. `relay-0`."""
Instant = float
"""Seconds on a monotonic clock. Cores receive it as `now` and never read a clock."""

MAX_PORT: Final = 65535
PACKED_ENDPOINT_LENGTH: Final = 18
_V4_MAPPED: Final = bytes(10) + b"\xff\xff"


class Role(IntEnum):
    """What a worker process is for."""

    RELAY = 1
    TRANSCEIVER = 2
    SIGNALING = 3
    REALTIME = 4
    FLEET = 5
    TELEMETRY = 6

    @property
    def label(self) -> str:
        """Lower-case name, as in worker names and module names."""
        return self.name.lower()


class Transport(IntEnum):
    """Transport of a client flow (wire.md, INTRO)."""

    UDP = 1
    TCP = 2


class Endpoint(NamedTuple):
    """An IP address in canonical text and a port.

    A plain tuple on purpose: it compares and hashes equal to what `socket.recvfrom` returns for IPv4
    and is what `socket.sendto` takes for both families, so the packet path never converts.
    """

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Read `1.2.3.4:5` or `[::1]:5`. Raises ValueError with what is wrong."""
        host, separator, port_text = text.rpartition(":")
        if not separator:
            raise ValueError(f"{text!r} is not ADDRESS:PORT")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ValueError(f"{text!r}: an IPv6 address needs brackets, [{host}]:{port_text}")
        try:
            address = ip_address(host)
        except ValueError:
            raise ValueError(f"{host!r} is not an IP address") from None
        if not (port_text.isascii() and port_text.isdigit()):
            raise ValueError(f"{port_text!r} is not a port number")
        if len(port_text) > 5 or (port := int(port_text)) > MAX_PORT:
            raise ValueError(f"port {port_text[:20]} is not in 1-65535")
        return cls(str(address), port)

    @classmethod
    def unpack(cls, packed: bytes) -> Endpoint:
        """Inverse of `pack`. Raises ValueError on any other length than 18."""
        if len(packed) != PACKED_ENDPOINT_LENGTH:
            raise ValueError("a packed endpoint has 18 bytes")
        port = int.from_bytes(packed[16:], "big")
        if packed[:12] == _V4_MAPPED:
            return cls("%d.%d.%d.%d" % tuple(packed[12:16]), port)
        return cls(str(IPv6Address(packed[:16])), port)

    def pack(self) -> bytes:
        """16 address bytes (IPv4 as v4-mapped) and 2 port bytes, big-endian."""
        port = self.port.to_bytes(2, "big")
        if self.is_ipv6:
            return IPv6Address(self.host).packed + port
        a, b, c, d = self.host.split(
            "."
        )  # a third of what IPv4Address takes, and packets wait for it
        return _V4_MAPPED + bytes((int(a), int(b), int(c), int(d))) + port

    @property
    def is_ipv6(self) -> bool:
        """True if the address is an IPv6 one."""
        return ":" in self.host

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if self.is_ipv6 else f"{self.host}:{self.port}"


class FlowKey(NamedTuple):
    """What makes a client flow: the same on the link, in the flow table and in any cache.

    The local address is part of it because one client port may talk to several of our addresses. The far
    end of a flow may also be a label on the link of a Global Relay, which stands for a client of its own.
    """

    transport: Transport
    client: Endpoint
    """Or the link address of a Global Relay, if there is a label."""
    local: Endpoint
    label: int | None = None

    def __str__(self) -> str:
        label = "" if self.label is None else f"#{self.label:x}"
        return f"{self.client}{label}>{self.local}/{self.transport.name.lower()}"


class Route(NamedTuple):
    """What a ufrag decodes to: one boot of one transceiver."""

    cluster: ClusterId
    transceiver: TransceiverId
    epoch: Epoch

    def __str__(self) -> str:
        return f"{self.cluster}/{self.transceiver}/{self.epoch}"
