"""A network in front of a relay that can turn bad: a UDP proxy that loses, doubles, mixes and damages."""

from __future__ import annotations

import bisect
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Final

from bench.delay import Address, DelayProxy

ONE_WAY: Final = 0.01
"""Seconds."""


class Weather(Enum):
    """What becomes of a datagram."""

    FAIR = "fair"
    LOSS = "loss"
    DUPLICATION = "duplication"
    DISORDER = "disorder"
    DAMAGE = "damage"


class Network(DelayProxy):
    """Set `weather` at any time, from any thread."""

    def __init__(self, server: Address, seed: int) -> None:
        super().__init__("127.0.0.1", server, ONE_WAY)
        self.weather = Weather.FAIR
        self._dice = random.Random(seed)

    def _receive(self, sock: socket.socket, due: float) -> None:
        before = len(self._queue)
        super()._receive(sock, due)
        if self.weather is Weather.FAIR:
            return
        came = [self._queue.pop() for _ in range(len(self._queue) - before)]
        for late in reversed(came):
            for delay, datagram in self._fates(late.datagram):
                changed = late._replace(due=late.due + delay, datagram=datagram)
                bisect.insort(self._queue, changed, key=lambda each: each.due)

    def _fates(self, datagram: bytes) -> Iterator[tuple[float, bytes]]:
        """When and how it arrives, each time that it does."""
        dice = self._dice
        match self.weather:
            case Weather.LOSS if dice.random() < 0.33:
                return
            case Weather.DUPLICATION:
                yield 0.003, datagram
            case Weather.DISORDER:
                yield dice.uniform(0, 0.06), datagram
                return
            case Weather.DAMAGE if datagram and dice.random() < 0.2:
                damaged = bytearray(datagram)
                damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
                datagram = bytes(damaged)
            case _:
                pass
        yield 0.0, datagram


@contextmanager
def network(server: Address, seed: int) -> Iterator[Network]:
    """One that runs, ended behind you."""
    proxy = Network(server, seed)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
