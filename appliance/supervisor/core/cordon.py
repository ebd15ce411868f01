"""What takes no new sessions because an operator has said so, and goes on with those that it has.

Unlike a drain nothing ends by itself: the processes stay, and what was cordoned can be used again at once.
The whole host can be cordoned, and each transceiver. The successor of a transceiver has no cordon.
"""

from __future__ import annotations

from collections.abc import Collection

from appliance.supervisor.core.fleet import Fleet
from appliance.supervisor.core.interface import CordonRequested, Cordons
from config.ids import Role, WorkerName


class Cordon:
    """What is cordoned."""

    def __init__(self, cordons: Cordons) -> None:
        self.host = cordons.host
        self._names = set(cordons.workers)

    def has(self, worker: WorkerName) -> bool:
        """That one has a cordon of its own."""
        return worker in self._names

    def covers(self, worker: WorkerName) -> bool:
        """That one takes no new sessions, be it by its own or by the host's."""
        return self.host or self.has(worker)

    @property
    def value(self) -> Cordons:
        """What is cordoned now."""
        return Cordons(self.host, tuple(sorted(self._names)))

    def request(self, event: CordonRequested, fleet: Fleet) -> Cordons:
        """Set or lift some; nothing if one of the names is no transceiver's. Without names: the host."""
        known = [worker.name for worker in fleet.staying(Role.TRANSCEIVER)]
        for name in event.workers:
            if name not in known:
                there = ", ".join(known)
                problem = f"{name} is no transceiver that takes sessions; these are: {there}"
                return Cordons(self.host, self.value.workers, problem)
        if event.workers:
            named = set(event.workers)
            self._names = self._names - named if event.lift else self._names | named
        else:
            self.host = not event.lift
            if event.lift:
                self._names.clear()
        return self.value

    def keep(self, known: Collection[WorkerName]) -> bool:
        """Forget those that are none of these; true if there were any."""
        before = len(self._names)
        self._names &= set(known)
        return len(self._names) != before
