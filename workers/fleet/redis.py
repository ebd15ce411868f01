"""What this host keeps in a Redis or Valkey, and all that can go wrong. The only file that knows coredis.

Every method is one round trip, or raises StoreFailed within WITHIN; nothing waits longer, and nothing else
is raised. Whatever a server answers that is not what such a server answers is StoreFailed, too.
A store is over with its first failure: who knows what its connections still have to deliver? Open another.

    <prefix>:{<cluster>}:beats   hash, host -> beat                     all hosts write, twice a second
    <prefix>:{<cluster>}:hosts   hash, host -> what it is               when that changes or is wrong
    <prefix>:{<cluster>}:ids     hash, number -> "host expiry"          see core/lease.py
    <prefix>:clusters            set of cluster numbers
    <prefix>:f:<flow key>        route of a flow                        see core/flows.py
    <prefix>:s:<client secret>   it has placed its one call             kept for as long as one can live
"""

from __future__ import annotations

import math
import ssl
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, NamedTuple, TypeAlias

import coredis
import trio
from coredis import exceptions
from coredis.connection import TCPLocation
from coredis.patterns.pipeline import ClusterPipeline, Pipeline
from coredis.retry import NoRetryPolicy
from coredis.tokens import PureToken

from config.ids import ClusterId, HostId
from config.redis_url import RedisKind, RedisPlace
from workers.fleet.core.lease import LEASE, SCRIPT, SETTLE, LeaseRequest

WITHIN: Final = 1.0
"""Seconds that one round trip may take, so how far away a Redis may be."""
OPEN_WITHIN: Final = 6.0
"""Seconds to find out who the primary is, or which members a Cluster has, and to connect: up to seven round
trips one after the other, or a first packet that is lost twice."""
CONNECTIONS: Final = 4
"""To one server, or to each primary of a Cluster."""
MOST_CLUSTERS: Final = 1024
_HOST_LENGTH: Final = 16

_FORGET: Final = """
for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    redis.call('HDEL', KEYS[1], ARGV[i])
    redis.call('HDEL', KEYS[2], ARGV[i])
  end
end
"""
"""KEYS: a cluster's beats and hosts. ARGV: a host and its last beat, and so on."""

_Client: TypeAlias = coredis.Redis[bytes] | coredis.RedisCluster[bytes]
_Pipe: TypeAlias = Pipeline[bytes] | ClusterPipeline[bytes]


class StoreFailed(Exception):
    """It did not work; the text is a word for a counter, `detail` for a human."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason)
        self.detail = detail


class Heard(NamedTuple):
    """What came of a beat."""

    beats: dict[HostId, bytes]
    """Of all of the cluster, ours included."""
    known: bool
    """There was an earlier beat of ours: the registry is not new, and has not lost what it knew."""
    kept: bytes | None
    """What the registry says that we are."""


class Store:
    """An open client."""

    def __init__(self, client: _Client, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._over: StoreFailed | None = None
        self._flows = f"{prefix}:f:".encode()

    async def beat(self, cluster: ClusterId, own: HostId, beat: bytes, what: bytes | None) -> Heard:
        """Say that we live, and what we are if `what` is given; hear who else of that cluster does.

        What we are is written before the beat that stands for it, so who sees the beat finds it.
        """
        beats, hosts = self._key(cluster, "beats"), self._key(cluster, "hosts")

        def ask(pipe: _Pipe) -> list[Awaitable[Any]]:
            asked: list[Awaitable[Any]] = []
            if what is not None:
                asked.append(pipe.sadd(f"{self._prefix}:clusters", [str(cluster)]))
                asked.append(pipe.hset(hosts, {own: what}))
            asked.append(pipe.hget(hosts, own))
            asked.append(pipe.hset(beats, {own: beat}))
            asked.append(pipe.hgetall(beats))
            return asked

        with self._asking():
            *_, kept, added, found = await self._pipeline(ask)
            return Heard(_beats(found), added == 0, kept if isinstance(kept, bytes) else None)

    async def beats(self, clusters: Sequence[ClusterId]) -> list[dict[HostId, bytes]]:
        """Who lives in other clusters."""

        def ask(pipe: _Pipe) -> list[Awaitable[Any]]:
            return [pipe.hgetall(self._key(cluster, "beats")) for cluster in clusters]

        with self._asking():
            return [_beats(found) for found in await self._pipeline(ask)]

    async def clusters(self) -> list[ClusterId]:
        """Which clusters there are, or were."""
        with self._asking():
            found = await self._client.smembers(f"{self._prefix}:clusters")
            if not isinstance(found, set | frozenset):
                raise StoreFailed("nonsense", "the clusters are no set")
            numbers = sorted(int(n) for n in found if n.isdigit())
            return [ClusterId(n) for n in numbers if n < 1 << 16][:MOST_CLUSTERS]

    async def hosts(self, cluster: ClusterId, names: Sequence[HostId]) -> dict[HostId, bytes]:
        """What these hosts are; who is not there is left out."""
        with self._asking():
            found = await self._client.hmget(self._key(cluster, "hosts"), list(names))
            if len(found) != len(names):
                raise StoreFailed("nonsense", "other hosts than were asked for")
        pairs = zip(names, found, strict=True)
        return {name: what for name, what in pairs if isinstance(what, bytes)}

    async def forget(self, cluster: ClusterId, last: Mapping[HostId, bytes]) -> None:
        """Take hosts out that are gone, each if that is its last beat still: it may be back."""
        keys = [self._key(cluster, "beats"), self._key(cluster, "hosts")]
        values: list[str | bytes] = [word for pair in last.items() for word in pair]
        with self._asking():
            await self._client.eval(_FORGET, keys, values)

    async def lease(self, cluster: ClusterId, own: HostId, asked: LeaseRequest) -> list[int]:
        """Ask for numbers (core/lease.py)."""
        values: list[str | int] = [own, LEASE, SETTLE, asked.wanted, asked.first, *asked.held]
        with self._asking():
            reply = await self._client.eval(SCRIPT, [self._key(cluster, "ids")], values)
            if not isinstance(reply, list) or not all(type(each) is int for each in reply):
                raise StoreFailed("nonsense", "the lease is no list of numbers")
        return [int(each) for each in reply if type(each) is int]

    async def write(self, flows: Mapping[bytes, bytes | None], kept: int) -> None:
        """Keep these flows for so many seconds; forget those without a value."""

        def ask(pipe: _Pipe) -> list[Awaitable[Any]]:
            return [
                pipe.delete([self._flow(key)])
                if value is None
                else pipe.set(self._flow(key), value, ex=kept)
                for key, value in flows.items()
            ]

        with self._asking():
            await self._pipeline(ask)

    async def find(self, keys: Sequence[bytes]) -> Sequence[object]:
        """The values of these flows, in their order."""
        with self._asking():
            found = await self._client.mget([self._flow(key) for key in keys])
            if len(found) != len(keys):
                raise StoreFailed("nonsense", "other flows than were asked for")
        return found

    async def spend(self, secret: str, kept: int) -> bool:
        """Whether this client secret has not been here in the last so many seconds. Now it has."""
        with self._asking():
            first = await self._client.set(
                f"{self._prefix}:s:{secret}", b"1", condition=PureToken.NX, ex=kept
            )
        return bool(first)

    def _flow(self, key: bytes) -> bytes:
        return self._flows + key

    async def _pipeline(self, ask: Callable[[_Pipe], Collection[Awaitable[Any]]]) -> list[Any]:
        async with self._client.pipeline(transaction=False) as pipe:
            asked = ask(pipe)
        return [await each for each in asked]

    @contextmanager
    def _asking(self) -> Iterator[None]:
        if self._over is not None:
            raise self._over
        try:
            with trio.fail_after(WITHIN):
                yield
        except StoreFailed as failure:
            self._over = failure
            raise
        except Exception as error:  # what a library makes of a server's nonsense can be anything
            self._over = _failure(error)
            raise self._over from error

    def _key(self, cluster: ClusterId, what: str) -> str:
        return f"{self._prefix}:{{{cluster}}}:{what}"


@asynccontextmanager
async def open_store(place: RedisPlace, password: str, prefix: str) -> AsyncIterator[Store]:
    """A client for that place, open. Raises StoreFailed if that cannot be, or if it goes to pieces.

    Whoever uses it must not let an exception of their own out of it.
    """
    try:
        with trio.CancelScope(deadline=trio.current_time() + OPEN_WITHIN) as opening:
            async with _client(place, password) as client:
                await _connect(client)
                opening.deadline = math.inf
                yield Store(client, prefix)
    except Exception as error:  # as above
        raise _failure(error) from error
    if opening.cancelled_caught:
        raise StoreFailed("timeout", f"not opened within {OPEN_WITHIN:g} s")


@asynccontextmanager
async def _client(place: RedisPlace, password: str) -> AsyncIterator[_Client]:
    timed: dict[str, Any] = {"stream_timeout": WITHIN, "connect_timeout": OPEN_WITHIN}
    if place.tls:
        timed["ssl_context"] = ssl.create_default_context()
    named: dict[str, Any] = {"password": password or None, "username": place.user or None}
    kept: dict[str, Any] = {
        "max_connections": CONNECTIONS,
        "retry_policy": NoRetryPolicy(),
        "verify_version": False,
        "ssl": place.tls,
    }
    match place.kind:
        case RedisKind.SINGLE:
            host, port = place.nodes[0]
            async with coredis.Redis(
                host, port, db=place.database, **timed, **named, **kept
            ) as single:
                yield single
        case RedisKind.SENTINEL:
            watchers = [TCPLocation(*node) for node in place.nodes]
            async with (
                coredis.Sentinel(watchers, retry_policy=NoRetryPolicy(), **timed) as sentinel,
                sentinel.primary_for(
                    place.service, db=place.database, max_connections=CONNECTIONS, **named
                ) as primary,
            ):
                yield primary
        case RedisKind.CLUSTER:
            nodes = [TCPLocation(*node) for node in place.nodes]
            members: coredis.RedisCluster[bytes] = coredis.RedisCluster(
                startup_nodes=nodes,
                decode_responses=False,
                max_connections_per_node=True,
                **timed,
                **named,
                **kept,
            )
            async with members as cluster:
                yield cluster


async def _connect(client: _Client) -> None:
    """All connections now, so that no question has to wait for one, which takes five round trips."""
    pool = client.connection_pool
    if isinstance(client, coredis.RedisCluster):
        places = [{"node": node} for node in client.connection_pool.cluster_layout.primaries]
    else:
        places = [{}]
    places *= CONNECTIONS
    left = len(places)
    connected = trio.Event()

    async def connect(place: Mapping[str, Any]) -> None:
        nonlocal left
        async with pool.acquire(**place):
            left -= 1
            if not left:
                connected.set()
            await connected.wait()

    async with trio.open_nursery() as nursery:
        for place in places:
            nursery.start_soon(connect, place)


def _beats(found: object) -> dict[HostId, bytes]:
    if not isinstance(found, dict):
        raise StoreFailed("nonsense", "the beats are no hash")
    return {
        HostId(name.decode("ascii")): beat
        for name, beat in found.items()
        if isinstance(name, bytes) and isinstance(beat, bytes)
        if len(name) == _HOST_LENGTH and name.isalnum()
    }


_REASONS: Final = {
    "READONLY": "read_only",
    "OOM": "full",
    "LOADING": "loading",
    "NOAUTH": "not_allowed",
    "WRONGPASS": "not_allowed",
    "NOPERM": "not_allowed",
    "MISCONF": "not_writable",
    "CLUSTERDOWN": "cluster_down",
    "MASTERDOWN": "no_primary",
}
"""First words of errors that a server answers with."""
_KINDS: Final[dict[type[BaseException], str]] = {
    exceptions.ReadOnlyError: "read_only",
    exceptions.AuthenticationError: "not_allowed",
    exceptions.AuthorizationError: "not_allowed",
    exceptions.PrimaryNotFoundError: "no_primary",
    exceptions.BusyLoadingError: "loading",
    exceptions.ClusterDownError: "cluster_down",
    exceptions.ProtocolError: "nonsense",
    exceptions.ConnectionError: "unreachable",
    OSError: "unreachable",
}
"""Errors for which the library has a class, the special before the general."""


def _failure(error: BaseException) -> StoreFailed:
    """A word for a counter and a line for a human, whatever was raised."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, StoreFailed):
        return error
    # In a pipeline the library puts the command in front, keys and values and all.
    said = str(error).rpartition("caused error: ")[2]
    detail = " ".join(said.split())[:200] or type(error).__name__
    if any(
        isinstance(cause, TimeoutError | trio.TooSlowError)
        for cause in (error, error.__cause__, error.__context__)
    ):
        return StoreFailed("timeout", f"no answer within {WITHIN:g} s")
    for kind, reason in _KINDS.items():
        if isinstance(error, kind):
            return StoreFailed(reason, detail)
    word = detail.partition(" ")[0]
    if word in _REASONS:
        return StoreFailed(_REASONS[word], detail)
    return StoreFailed("nonsense", detail)
