"""Whose request it is, where proxies that the operator trusts stand between (RFC 7239; X-Forwarded-For).

Each proxy adds the address that it got the request from at the end. So the list is read from its end, as
long as the one who added an entry is trusted; what a client wrote itself in front is never reached. Only
one of the two headers is read, the one that the operator's proxies write: the other may be passed on as the
client sent it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, NamedTuple

from workers.http.hosts import is_local
from workers.signaling.quotas import Address

MAX_HOPS: Final = 16
CUSTOMARY: Final = "x-forwarded-for"
STANDARD: Final = "forwarded"
_UNKNOWN: Final = IPv4Address(0)
_FOR: Final = re.compile(r'(?:^|;)\s*for="?([^";,]+)"?\s*(?:;|$)', re.IGNORECASE)
_PORT: Final = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::\d+)?|(\d+\.\d+\.\d+\.\d+)(?::\d+)?")


class Client(NamedTuple):
    """Who has sent a request."""

    address: Address
    """As far as those tell whom we believe."""
    forwarded: bool
    """It has come through a proxy, trusted or not."""
    vouched: bool = False
    """The other end of the connection is a proxy that is trusted: its headers are."""
    origin: str = ""
    """Of the page that sent it, as its browser says; empty: no page did."""
    host: str = ""
    """By what name we were asked."""

    @property
    def is_here(self) -> bool:
        """It was sent from this machine, and not on behalf of somebody elsewhere.

        A name that somebody else lets point at this machine (DNS rebinding) is a page's from elsewhere.
        """
        return self.address.is_loopback and not self.forwarded and is_local(self.host)


NOBODY: Final = Client(_UNKNOWN, forwarded=False)
"""Of whom nothing is known."""


class Proxies:
    """Those that are believed."""

    def __init__(self, trusted: Sequence[str] = (), header: str = CUSTOMARY) -> None:
        """Addresses and networks, and the header that they write: CUSTOMARY or STANDARD."""
        self._standard = header == STANDARD
        self._networks = [ip_network(each, strict=False) for each in trusted]

    def client(self, peer: str, headers: Sequence[tuple[bytes, bytes]]) -> Client:
        """From the other end of the connection and the request's headers (names in lower case)."""
        address = _parse(peer) or _UNKNOWN
        vouched = self.trusts(address)
        hops = _standard(headers) if self._standard else _customary(headers)
        forwarded = bool(hops or _joined(headers, b"forwarded") or _customary(headers))
        for hop in reversed(hops[-MAX_HOPS:]):
            if not self.trusts(address):
                break
            found = _parse(hop)
            if found is None:  # "unknown", or an obfuscated name
                break
            address = found
        origin, host = _joined(headers, b"origin"), _joined(headers, b"host")
        return Client(address, forwarded, vouched, origin, host)

    def trusts(self, address: Address) -> bool:
        """What comes from there is a proxy's word."""
        return any(address in network for network in self._networks)


def _standard(headers: Sequence[tuple[bytes, bytes]]) -> list[str]:
    """Oldest first."""
    standard = _joined(headers, b"forwarded")
    found = [_FOR.search(element) for element in standard.split(",")] if standard else []
    return [match[1] if match else "unknown" for match in found]


def _customary(headers: Sequence[tuple[bytes, bytes]]) -> list[str]:
    """Likewise."""
    customary = _joined(headers, b"x-forwarded-for")
    return [hop.strip() for hop in customary.split(",")] if customary else []


def _joined(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> str:
    return ",".join(value.decode("latin-1") for key, value in headers if key == name)


def _parse(text: str) -> Address | None:
    """An address with or without a port, mapped IPv4 as IPv4."""
    text = text.strip()
    if match := _PORT.fullmatch(text):
        text = match[1] or match[2]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address
