"""Announcements between hosts without Redis: one datagram says who lives and what it is.

They are believed only from the exact addresses in `fleet.peers`: like the link, they belong into a private
network. Nothing is repeated or acknowledged; the next one comes in half a second.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Final, TypeAlias

import trio

from config.ids import Endpoint
from ipc.messages.fleet import FleetHost
from workers.fleet.core.notice import MAX_NOTICE, Beat, Unbelievable, encode_notice, parse_notice

BEAT: Final = 0.5
"""Seconds between two announcements."""
_IP_FREEBIND: Final = 15
_IPV6_FREEBIND: Final = 78

Heard: TypeAlias = Callable[[Beat, FleetHost], None]
Refused: TypeAlias = Callable[[str], None]


class Peers:
    """The sockets, and to whom each of them speaks."""

    def __init__(
        self, sockets: Sequence[trio.socket.SocketType], peers: Sequence[Endpoint]
    ) -> None:
        self._ways = [
            (sock, [peer for peer in peers if peer.is_ipv6 == _is_ipv6(sock)]) for sock in sockets
        ]

    async def announce(self, beat: Beat, host: FleetHost) -> None:
        """Tell all."""
        notice = encode_notice(beat, host)
        for sock, peers in self._ways:
            for peer in peers:
                with suppress(OSError):  # it will be told again, and nobody waits for it
                    await sock.sendto(notice, peer)

    async def listen(self, heard: Heard, refused: Refused) -> None:
        """Hear them, for ever."""
        async with trio.open_nursery() as nursery:
            for sock, peers in self._ways:
                nursery.start_soon(self._listen, sock, frozenset(peers), heard, refused)

    async def _listen(
        self,
        sock: trio.socket.SocketType,
        peers: frozenset[Endpoint],
        heard: Heard,
        refused: Refused,
    ) -> None:
        while True:
            try:
                data, sender = await sock.recvfrom(MAX_NOTICE + 1)
            except ConnectionError:
                continue  # a peer's port was closed when we spoke
            if tuple(sender[:2]) not in peers:
                refused("stranger")
                continue
            try:
                beat, host = parse_notice(data)
            except Unbelievable as why:
                refused(str(why))
                continue
            if host is None:
                refused("malformed")
            else:
                heard(beat, host)


@contextmanager
def open_peers(listen: Sequence[Endpoint], peers: Sequence[Endpoint]) -> Iterator[Peers]:
    """Bound sockets. Raises OSError."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(_bound(endpoint)) for endpoint in listen]
        yield Peers([trio.socket.from_stdlib_socket(sock) for sock in sockets], peers)


def _bound(endpoint: Endpoint) -> socket.socket:
    family = socket.AF_INET6 if endpoint.is_ipv6 else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        # The address may arrive later than we do.
        if endpoint.is_ipv6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        sock.bind(tuple(endpoint))
    except OSError:
        sock.close()
        raise
    return sock


def _is_ipv6(sock: trio.socket.SocketType) -> bool:
    return sock.family == socket.AF_INET6
