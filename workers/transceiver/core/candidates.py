"""Candidates as SDP writes them, in an answer or a fragment (RFC 8839, 5.1)."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

from config.ids import MAX_PORT, Endpoint, Transport
from workers.transceiver.core.sdp import Block, SdpError

MAX_CANDIDATES: Final = 64


def read_candidates(*blocks: Block, transport: Transport = Transport.UDP) -> tuple[Endpoint, ...]:
    """Addresses of a transport, the highest priority first; names (mDNS) and RTCP are left out.

    Of TCP those that can be connected to (RFC 6544, 4.5: `passive` and `so`).

    Raises SdpError for what is no candidate, and for more than MAX_CANDIDATES.
    """
    ranked: list[tuple[int, Endpoint]] = []
    count = 0
    for block in blocks:
        for attribute in block.all("candidate"):
            ranked += _candidate(attribute.line, attribute.value, transport)
            count += 1
            if count > MAX_CANDIDATES:
                raise SdpError(attribute.line, f"more than {MAX_CANDIDATES} candidates")
    ranked.sort(key=lambda pair: -pair[0])
    return tuple(dict.fromkeys(endpoint for _, endpoint in ranked))


def _candidate(line: int, value: str, transport: Transport) -> Iterator[tuple[int, Endpoint]]:
    """`foundation component transport priority address port typ type ...`."""
    parts = value.split()
    numbers = (parts[1], parts[3], parts[5]) if len(parts) >= 8 and parts[6] == "typ" else ()
    if not numbers or not all(n.isascii() and n.isdigit() and len(n) <= 10 for n in numbers):
        raise SdpError(line, "not a candidate")
    component, priority, port = map(int, numbers)
    if port > MAX_PORT:
        raise SdpError(line, f"port {port} is not in 0-{MAX_PORT}")
    if component != 1 or parts[2].lower() != transport.name.lower() or port == 0:
        return
    if transport is Transport.TCP and not _can_be_connected_to(parts[8:]):
        return
    try:
        host = str(ip_address(parts[4]))
    except ValueError:
        return  # a name: mDNS candidates need a resolver, and servers do not send them
    yield priority, Endpoint(host, port)


def _can_be_connected_to(extensions: list[str]) -> bool:
    kinds = dict(zip(extensions[::2], extensions[1::2], strict=False))
    return kinds.get("tcptype", "").lower() in ("passive", "so")
