"""Who listens on TCP: signaling, the ops page, operators elsewhere, and ICE-TCP. No two in one place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from config.findings import Finding
from config.ids import Endpoint
from config.listeners import is_same_listener, listeners, public
from config.model import Config
from config.problems import KeyPath


class _Door(NamedTuple):
    path: KeyPath
    """Of the addresses."""
    what: str
    endpoints: Sequence[Endpoint]
    listed: bool = True
    """There may be several."""

    def at(self, index: int) -> KeyPath:
        """Of one address."""
        return (*self.path, index) if self.listed else self.path


def tcp_doors(config: Config) -> Iterator[Finding]:
    """What is wrong with each, and what two of them would both bind."""
    relay, admin, calls = config.relay, config.admin, config.fleet.calls
    yield from listeners(("signaling", "listen"), config.signaling.listen)
    if config.ops.listen:
        yield from listeners(("ops", "listen"), config.ops.listen)
    if relay.listen_tcp:
        yield from public(("relay", "listen_tcp"), relay.listen_tcp)
    if admin.listen:
        yield from _admin(admin.listen, admin.clients)
    http = config.signaling.listen if config.has_transceivers else ()
    ice = relay.tcp_listen if config.has_relays else ()
    doors = (
        _Door(("signaling", "listen"), "HTTP", http),
        _Door(("ops", "listen"), "the ops page", config.ops.listen),
        _Door(("admin", "listen"), "operators elsewhere", admin.listen),
        _Door(("fleet", "calls"), "calls of other hosts", [calls] if calls else [], listed=False),
        _Door(("relay", "listen_tcp" if relay.listen_tcp else "listen"), "ICE-TCP", ice),
    )
    for one, other in combinations(doors, 2):
        yield from _both(one, other)


def _both(one: _Door, other: _Door) -> Iterator[Finding]:
    for index, endpoint in enumerate(other.endpoints):
        for taken, there in enumerate(one.endpoints):
            if is_same_listener(endpoint, there):
                also: tuple[KeyPath, ...] = (one.at(taken),)
                if other.what == "ICE-TCP":
                    also = (*also, ("relay", "tcp"))
                name = ".".join(map(str, one.path))
                what = f"{endpoint} is for {other.what}, and {name} has {there}"
                yield Finding(other.at(index), what, also)


def _admin(endpoints: Sequence[Endpoint], clients: Mapping[str, str]) -> Iterator[Finding]:
    path: KeyPath = ("admin", "listen")
    yield from listeners(path, endpoints)
    for index, endpoint in enumerate(endpoints):
        if not endpoint.port:
            yield Finding((*path, index), "port 0 is not in 1-65535")
    if not clients:
        yield Finding(path, "needs admin.clients: nobody could come in (tandem keys curve)")
