"""Another number of relays, while calls go on.

More:  spawned with sockets that are bound to nothing yet; transceivers are told their link addresses
       -> all of them serve, know the routes and are known -> Steer: sockets join, clients come -> done
Fewer: Steer: nothing more comes to the last ones -> done; each of these drains: it returns what
       transceivers still send by it until every client has shown up at another relay, and ends
       -> Abandon: its sockets are closed and the memory of its table is given back

A client that moves is recovered by its new relay from the table of the old one, which is why a relay that
leaves serves on for `transceiver.consent_timeout`: a client that is silent for longer is none any more.
If one of the new relays does not come up, all of them are given up, and nothing has changed. A rehearsal
ends so in any case: that a relay comes up should be known before one that serves is replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from appliance.supervisor.core.fleet import Fleet
from appliance.supervisor.core.interface import Reloaded, ResizeRequested, Steer
from appliance.supervisor.core.lifecycle import WorkerState
from appliance.supervisor.core.plan import Goal
from appliance.supervisor.core.worker import Worker
from config.ids import Instant, Role, WorkerName

KNOWN_WITHIN: Final = 5.0
"""Seconds that transceivers have to acknowledge the link addresses of relays that serve."""


class Resize:
    """A change of the number of relays that is under way."""

    def __init__(self, fleet: Fleet, request: ResizeRequested) -> None:
        self._fleet = fleet
        self._wanted = len(request.relays)
        present = fleet.staying(Role.RELAY)
        self._present = len(present)
        self._surplus = present[self._wanted :]
        self._joining = [
            fleet.add(spec, request.config) for spec in request.relays[self._present :]
        ]
        self._config = request.config
        self._rehearsal = request.rehearsal
        self.is_steering = False
        """Steer is being carried out."""
        self._patience: Instant | None = None

    @property
    def deadline(self) -> Instant | None:
        """When `step` may have something to do though nothing has happened."""
        return self._patience

    def step(
        self, now: Instant, *, known: bool, current: Callable[[WorkerName], bool]
    ) -> Steer | Reloaded | None:
        """What to do now: let clients come to other relays, give up, or wait.

        `known`: all transceivers hear the new relays; `current`: whether a relay knows all routes.
        """
        if self.is_steering:
            return None
        for worker in self._joining:
            if worker.life.state in (WorkerState.BACKOFF, WorkerState.FAILED):
                return self.give_up(f"{worker.name} {worker.life.why}")
            if worker.life.state is not WorkerState.READY:
                return None
        if self._joining and self._patience is None:
            self._patience = now + KNOWN_WITHIN
        ready = known and all(current(worker.name) for worker in self._joining)
        if self._joining and not ready:
            if self._patience is not None and now >= self._patience:
                return self.give_up("not every worker has taken notice of the new relays")
            return None
        self._patience = None
        if self._rehearsal:
            self._end_joining()
            return Reloaded(())
        self.is_steering = True
        return Steer(self._wanted)

    def steered(self, problem: str) -> Reloaded:
        """Steer was carried out, or was not: the end of it."""
        if problem:
            return self.give_up(problem)
        self._fleet.adopt(self._config)
        for worker in self._joining:
            worker.joining = False
        for worker in self._surplus:
            worker.retire_by = Goal.DRAIN
        return Reloaded((), added=_names(self._joining), removed=_names(self._surplus))

    def give_up(self, why: str) -> Reloaded:
        """Nothing has changed; who was to join ends."""
        self._end_joining()
        return Reloaded((), f"{why}; there are {self._present} relays as before")

    def _end_joining(self) -> None:
        for worker in self._joining:
            worker.retire_by = Goal.STOP


def _names(workers: list[Worker]) -> tuple[WorkerName, ...]:
    return tuple(worker.name for worker in workers)
