"""Candidates as SDP writes them, in an answer or a fragment (RFC 8839, 5.1)."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

from config.ids import MAX_PORT, Endpoint
from workers.transceiver.core.sdp import Block, SdpError

MAX_CANDIDATES: Final = 64


def read_candidates(*blocks: Block) -> tuple[Endpoint, ...]:
    """UDP addresses, the highest priority first; names (mDNS), TCP and RTCP are left out.

    Raises SdpError for what is no candidate, and for more than MAX_CANDIDATES.
    """
    ranked: list[tuple[int, Endpoint]] = []
    count = 0
    for block in blocks:
        for attribute in block.all("candidate"):
            ranked += _candidate(attribute.line, attribute.value)
            count += 1
            if count > MAX_CANDIDATES:
                raise SdpError(attribute.line, f"more than {MAX_CANDIDATES} candidates")
    ranked.sort(key=lambda pair: -pair[0])
    return tuple(dict.fromkeys(endpoint for _, endpoint in ranked))


def _candidate(line: int, value: str) -> Iterator[tuple[int, Endpoint]]:
    """`foundation component transport priority address port typ type ...`."""
    parts = value.split()
    numbers = (parts[1], parts[3], parts[5]) if len(parts) >= 8 and parts[6] == "typ" else ()
    if not numbers or not all(n.isascii() and n.isdigit() and len(n) <= 10 for n in numbers):
        raise SdpError(line, "not a candidate")
    component, priority, port = map(int, numbers)
    if port > MAX_PORT:
        raise SdpError(line, f"port {port} is not in 0-{MAX_PORT}")
    if component != 1 or parts[2].lower() != "udp" or port == 0:
        return
    try:
        host = str(ip_address(parts[4]))
    except ValueError:
        return  # a name: mDNS candidates need a resolver, and servers do not send them
    yield priority, Endpoint(host, port)
