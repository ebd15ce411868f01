"""Where a Redis or Valkey is: one server, what Sentinels say, or a Cluster.

    redis://[USER@]HOST[:PORT][/DATABASE]
    redis+sentinel://[USER@]HOST[:PORT][,HOST[:PORT]...]/SERVICE[/DATABASE]
    redis+cluster://[USER@]HOST[:PORT][,HOST[:PORT]...]

`rediss` in place of `redis` is TLS. A password is not part of it: it has a file of its own.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, NamedTuple

_NODE: Final = r"(?:[A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?"
_URL: Final = re.compile(
    rf"(?P<scheme>rediss?)(?:\+(?P<kind>sentinel|cluster))?://(?:(?P<user>[^@/:,\s]+)@)?"
    rf"(?P<nodes>{_NODE}(?:,{_NODE})*)(?P<path>(?:/[A-Za-z0-9._-]+){{0,2}})/?"
)
_PORTS: Final = {"": 6379, "sentinel": 26_379, "cluster": 6379}


class RedisKind(Enum):
    """Who answers there."""

    SINGLE = "single"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


class RedisPlace(NamedTuple):
    """What a URL says."""

    kind: RedisKind
    nodes: tuple[tuple[str, int], ...]
    """The server; or Sentinels; or members of the Cluster, who know the others."""
    tls: bool = False
    user: str = ""
    service: str = ""
    """What the Sentinels call it."""
    database: int = 0


def parse_redis_url(url: str) -> RedisPlace:
    """Read a URL. Raises ValueError with what is wrong."""
    if "@" in url and ":" in url.partition("://")[2].partition("@")[0]:
        raise ValueError("has a password in it; write that into redis.password_file")
    match = _URL.fullmatch(url)
    if match is None:
        raise ValueError(
            "is not redis://HOST[:PORT][/DATABASE], redis+sentinel://HOST[,HOST]/SERVICE"
            " or redis+cluster://HOST[,HOST]"
        )
    kind = match["kind"] or ""
    nodes = tuple(_node(text, _PORTS[kind]) for text in match["nodes"].split(","))
    path = [part for part in match["path"].split("/") if part]
    service = ""
    if kind == "sentinel":
        if not path:
            raise ValueError("must name the service after the Sentinels: .../SERVICE")
        service = path.pop(0)
    elif not kind and len(nodes) > 1:
        raise ValueError("has several hosts; those are redis+sentinel:// or redis+cluster://")
    if len(path) > 1 or (kind == "cluster" and path):
        raise ValueError("has more behind the hosts than such a URL can have")
    if path and not (path[0].isascii() and path[0].isdigit() and int(path[0]) < 1 << 16):
        raise ValueError(f"{path[0]!r} is not the number of a database")
    return RedisPlace(
        RedisKind(kind or "single"),
        nodes,
        tls=match["scheme"] == "rediss",
        user=match["user"] or "",
        service=service,
        database=int(path[0]) if path else 0,
    )


def _node(text: str, default: int) -> tuple[str, int]:
    host, port = text, default
    if not text.endswith("]") and ":" in text:
        host, _, digits = text.rpartition(":")
        port = int(digits)
    if not 0 < port < 1 << 16:
        raise ValueError(f"port {port} is not in 1-65535")
    return host.strip("[]"), port
