"""The other hosts, and when one is gone.

A host lives as long as its beats go on, by the clock of whoever listens: no two clocks are compared. What
counts is not time but silence, and that only while there was something to hear: while Redis is away nobody
grows older, and a Redis that comes back empty takes nobody away. A host is gone when it has been silent for
SILENT in every way in which it was ever heard.

Routes that are withdrawn too early end calls; those that are withdrawn too late cost nothing. So there are
two bounds: after STALE seconds a host is not *fresh* any more, which is for those who place new calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Final

import msgspec

from config.ids import ClusterId, HostId
from ipc.messages.fleet import FleetHost
from workers.fleet.core.notice import Beat

STALE: Final = 3.0
SILENT: Final = 10.0
MOST: Final = 2048
"""Hosts; what a supervisor is told of them must fit a message."""
MOST_BYTES: Final = 960_000
"""Of what all of them say of themselves, encoded."""
CHANGES: Final = 48
"""Bytes by which one grows when it is not heard and its sessions become more."""
_NO_VERSION: Final = (-1, -1)


class Way(Enum):
    """How a host is heard."""

    PEER = "peer"
    REDIS = "redis"


class _Known:
    __slots__ = ("beats", "host", "silence", "size", "version")

    def __init__(self, host: FleetHost, size: int) -> None:
        self.host = host
        self.size = size
        self.version = _NO_VERSION
        self.beats: dict[Way, tuple[int, int]] = {}
        self.silence: dict[Way, float] = {}

    @property
    def silent(self) -> float:
        return min(self.silence.values())


class Hosts:
    """Everybody but ourselves."""

    def __init__(self, own: HostId, incarnation: int) -> None:
        self._own = own
        self._incarnation = incarnation
        self._known: dict[HostId, _Known] = {}
        self._size = 0
        self._gone: dict[HostId, tuple[ClusterId, tuple[int, int]]] = {}
        """Clusters and last beats of those whose beats are in Redis still."""
        self.refused: Counter[str] = Counter()
        """What was heard and not believed, by reason."""

    def recall(self, hosts: Iterable[FleetHost], ways: Iterable[Way]) -> None:
        """Begin with what an earlier process knew: by all ways that there are."""
        for host in hosts:
            if host.host != self._own and host.host not in self._known:
                known = self._known[host.host] = _Known(host, _size(host))
                known.silence = dict.fromkeys(ways, STALE + 1)  # until it is heard
                self._size += known.size

    def wants(self, beat: Beat, way: Way) -> bool:
        """Take a beat, and say whether what its host is has to be asked for."""
        if beat.host == self._own:
            if beat.incarnation != self._incarnation and way is Way.PEER:
                self.refused["our_own_name"] += 1
            return False
        known = self._known.get(beat.host)
        now = _number(beat)
        if known is None:
            if way is Way.REDIS and beat.host in self._gone and self._gone[beat.host][1] == now:
                return False
            if len(self._known) >= MOST:
                self.refused["too_many"] += 1
                return False
            return True
        last = known.beats.get(way)
        if last is not None and last[0] == now[0] and last[1] > now[1]:
            return False  # overtaken on its way
        if last != now:
            known.beats[way] = now
            known.silence[way] = 0.0
            known.host = msgspec.structs.replace(known.host, sessions=beat.sessions)
        return known.version != (beat.incarnation, beat.version)

    def learn(self, beat: Beat, host: FleetHost, way: Way) -> None:
        """A beat that was wanted, and what its host is."""
        known = self._known.get(beat.host)
        size = _size(host)
        more = size - (known.size if known else 0)
        if self._size + more > MOST_BYTES:
            self.refused["too_many"] += 1
            return
        if known is None:
            if beat.host == self._own or len(self._known) >= MOST:
                return
            known = self._known[beat.host] = _Known(host, size)
            known.beats[way] = _number(beat)
            known.silence[way] = 0.0
        self._size += more
        known.size = size
        known.host = msgspec.structs.replace(host, sessions=beat.sessions)
        known.version = (beat.incarnation, beat.version)

    def pass_time(self, way: Way, seconds: float) -> None:
        """So long could be listened in this way; who was not heard in it is that much more silent."""
        for name, known in list(self._known.items()):
            if way in known.silence:
                known.silence[way] += seconds
                if known.silent > SILENT:
                    del self._known[name]
                    self._size -= known.size
                    if Way.REDIS in known.beats:
                        self._gone[name] = known.host.cluster, known.beats[Way.REDIS]

    def gone(self, cluster: ClusterId, heard: Mapping[HostId, Beat]) -> tuple[HostId, ...]:
        """Of those of a cluster whose beats are in Redis: who is gone and should not be there any more."""
        self._gone = {
            host: (of, last)
            for host, (of, last) in self._gone.items()
            if host not in self._known
            if of != cluster or (host in heard and _number(heard[host]) == last)
        }
        return tuple(host for host, (of, _) in self._gone.items() if of == cluster)

    def view(self) -> tuple[FleetHost, ...]:
        """All that live, in the order of their names."""
        return tuple(
            msgspec.structs.replace(
                known.host, fresh=known.silent <= STALE, silence=round(known.silent, 1)
            )
            for _, known in sorted(self._known.items())
        )


def _number(beat: Beat) -> tuple[int, int]:
    return beat.incarnation, beat.count


def _size(host: FleetHost) -> int:
    return len(msgspec.msgpack.encode(host)) + CHANGES


def lasting(hosts: Iterable[FleetHost]) -> tuple[FleetHost, ...]:
    """Without what changes all the time: by this one sees whether there is news."""
    return tuple(msgspec.structs.replace(host, sessions=0, silence=0.0) for host in hosts)
