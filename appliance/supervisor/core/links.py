"""Which relays there are, by their link addresses, and which transceivers know it.

A transceiver drops what comes from anybody else, so a relay that is added gets no client's datagram
before each of them has acknowledged its address.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import chain

from config.ids import Endpoint, WorkerName
from ipc.messages.routes import Relays


class RelayLinks:
    """The addresses, their serial, and what transceivers have acknowledged."""

    def __init__(self) -> None:
        self.links: tuple[tuple[Endpoint, ...], ...] = ()
        """Of this host's relays, those of each by its index."""
        self._others: tuple[Endpoint, ...] = ()
        self._serial = 0
        self._applied: dict[WorkerName, int] = {}

    @property
    def own(self) -> tuple[Endpoint, ...]:
        """All of this host's relays."""
        return tuple(chain.from_iterable(self.links))

    def message(self) -> Relays:
        """The whole truth, for transceivers."""
        return Relays(self._serial, (*self.own, *self._others))

    def replace(self, links: tuple[tuple[Endpoint, ...], ...]) -> bool:
        """Make these the relays' addresses. True if that changed anything."""
        if links == self.links:
            return False
        self._serial += 1
        self.links = links
        return True

    def join(self, others: tuple[Endpoint, ...]) -> bool:
        """These are other hosts' relays, which nobody waits for. True if that changed anything."""
        if others == self._others:
            return False
        self._serial += 1
        self._others = others
        return True

    def acknowledge(self, transceiver: WorkerName, serial: int) -> None:
        """A transceiver hears the relays of that serial; one that was never sent counts as none."""
        if serial <= self._serial:
            self._applied[transceiver] = max(serial, self._applied.get(transceiver, 0))

    def forget_transceiver(self, transceiver: WorkerName) -> None:
        """The process that acknowledged is gone."""
        self._applied.pop(transceiver, None)

    def known_to(self, transceivers: Collection[WorkerName]) -> bool:
        """All these have acknowledged the newest serial."""
        return all(self._applied.get(name, 0) >= self._serial for name in transceivers)
