"""A network in virtual time: datagrams, delay, loss and clocks as plain values in one process.

Everything that happens is an event in one heap; nothing sleeps. A seed repeats a run, but for what
OpenSSL draws by itself: keys, and the length of a signature.
Nodes are sans-IO cores with an address (see `world`); `Leg` is what lies between two of them.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple, Protocol

from config.ids import Endpoint


class Transit(NamedTuple):
    """A datagram on its way. A filter sees it, and may drop, change or multiply it."""

    leg: str
    source: Endpoint
    destination: Endpoint
    datagram: bytes

    @property
    def is_stun(self) -> bool:
        return self.datagram[:1] < b"\x04"

    @property
    def is_dtls(self) -> bool:
        return b"\x14" <= self.datagram[:1] <= b"\x3f"

    @property
    def is_media(self) -> bool:
        return b"\x80" <= self.datagram[:1] <= b"\xbf"


Filter = Callable[[Transit], list[Transit]]
"""What becomes of a datagram: usually itself, or nothing, or several."""


@dataclass
class Leg:
    """A stretch of network, the same in both directions. Times in seconds, the rest as probability."""

    name: str
    delay: float = 0.0
    jitter: float = 0.0
    """Added at random to each datagram, which therefore may overtake each other."""
    loss: float = 0.0
    duplication: float = 0.0
    corruption: float = 0.0
    filters: list[Filter] = field(default_factory=list)

    def carry(self, transit: Transit, random: Random) -> list[tuple[float, Transit]]:
        """(delay, datagram) of everything that comes out at the other end."""
        transits = [transit]
        for rule in self.filters:
            transits = [out for each in transits for out in rule(each)]
        carried = []
        for each in transits:
            if random.random() < self.loss:
                continue
            for _ in range(2 if random.random() < self.duplication else 1):
                out = each
                if each.datagram and random.random() < self.corruption:
                    damaged = bytearray(each.datagram)
                    damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
                    out = each._replace(datagram=bytes(damaged))
                carried.append((self.delay + random.uniform(0, self.jitter), out))
        return carried


class Node(Protocol):
    """Something with a clock."""

    def next_timeout(self) -> float | None: ...

    def handle_timeout(self, now: float) -> None: ...


class Network:
    """The heap of events and the clock."""

    def __init__(self, seed: int = 0) -> None:
        self.now = 1000.0
        self.random = Random(seed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._nodes: list[Node] = []
        self._doors: dict[tuple[str, Endpoint], Callable[[Transit], None]] = {}
        self.undelivered = 0
        """Datagrams to an address where nobody listens."""

    def entropy(self, count: int) -> bytes:
        """Repeatable randomness for the cores."""
        return self.random.randbytes(count)

    def at(self, time: float, action: Callable[[], None]) -> None:
        """Do something at that time, or now if it has passed."""
        heapq.heappush(self._events, (max(time, self.now), next(self._order), action))

    def after(self, delay: float, action: Callable[[], None]) -> None:
        """Do something in so many seconds."""
        self.at(self.now + delay, action)

    def listen(self, leg: str, address: Endpoint, door: Callable[[Transit], None]) -> None:
        """Deliver what arrives at this address over that leg; replaces who listened before."""
        self._doors[leg, address] = door

    def close(self, leg: str, address: Endpoint) -> None:
        """Nobody listens there any longer."""
        self._doors.pop((leg, address), None)

    def send(self, leg: Leg, source: Endpoint, destination: Endpoint, datagram: bytes) -> None:
        """Put a datagram on its way."""
        transit = Transit(leg.name, source, destination, bytes(datagram))
        for delay, out in leg.carry(transit, self.random):
            self.after(delay, lambda out=out: self._deliver(out))  # type: ignore[misc]

    def add(self, node: Node) -> None:
        """Give this node its timeouts from now on."""
        self._nodes.append(node)

    def remove(self, node: Node) -> None:
        """And no longer."""
        self._nodes.remove(node)

    def run(self, seconds: float) -> None:
        """Let that much time pass."""
        end = self.now + seconds
        while self._step(end):
            pass
        self.now = end

    def run_until(self, condition: Callable[[], object], *, within: float) -> float:
        """Let time pass until it holds; returns how long that took. Fails after `within` seconds."""
        start, end = self.now, self.now + within
        while not condition():
            assert self._step(end), f"it did not happen within {within} s"
        return self.now - start

    def jump(self, seconds: float) -> None:
        """The clock leaps, as after a suspend: all that was due meanwhile happens late, at once."""
        self.now += seconds

    def _deliver(self, transit: Transit) -> None:
        door = self._doors.get((transit.leg, transit.destination))
        if door is None:
            self.undelivered += 1
        else:
            door(transit)

    def _step(self, end: float) -> bool:
        """The next event or timeout, if it is due by `end`."""
        due = [
            (timeout, node) for node in self._nodes if (timeout := node.next_timeout()) is not None
        ]
        timeout, node = min(due, key=lambda pair: pair[0], default=(None, None))
        if self._events and (timeout is None or self._events[0][0] <= timeout):
            time, _, action = self._events[0]
            if time > end:
                return False
            heapq.heappop(self._events)
            self.now = max(self.now, time)
            action()
            return True
        if timeout is None or node is None or timeout > end:
            return False
        self.now = max(self.now, timeout)
        node.handle_timeout(self.now)
        after = node.next_timeout()
        assert after is None or after > timeout, f"{node} does not get past its timeout"
        return True


# --- filters --------------------------------------------------------------------------------------


def drop(predicate: Callable[[Transit], bool]) -> Filter:
    """Lose every datagram of which this is true."""
    return lambda transit: [] if predicate(transit) else [transit]


def drop_nth(n: int, predicate: Callable[[Transit], bool]) -> Filter:
    """Lose the n-th (from 0) datagram of which this is true."""
    counter = itertools.count()
    return drop(lambda transit: predicate(transit) and next(counter) == n)


def capture(into: list[Transit], predicate: Callable[[Transit], bool] = lambda _: True) -> Filter:
    """Keep a copy of every datagram of which this is true."""

    def keep(transit: Transit) -> list[Transit]:
        if predicate(transit):
            into.append(transit)
        return [transit]

    return keep
