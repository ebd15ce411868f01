"""New workers beside those of the roles that allow it: realtime, transceiver, signaling.

    each new one: added -> spawned -> serves (every relay knows a transceiver's route) -> the next one
    all serve     -> they join, and whom they replace drains, both at the same moment

What one of these owns (an end point, a link socket, a route, a copy of a listener) is its own, so a worker
and its successor do not meet, and the old one serves on until its sessions are over. Until that moment
nothing new comes to a new one: it can be given up without anybody noticing. The first of each role is its
canary, and canaries come before all others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

from appliance.supervisor.core.fleet import Fleet
from appliance.supervisor.core.lifecycle import WorkerState
from appliance.supervisor.core.plan import Goal
from appliance.supervisor.core.spec import WorkerSpec, new_specs
from appliance.supervisor.core.worker import Worker
from config.ids import Instant, Role, WorkerName
from config.model import Config

BESIDE: Final = (Role.REALTIME, Role.TRANSCEIVER, Role.SIGNALING)
"""In the order in which they are started: each works with those before it."""
KNOWN_WITHIN: Final = 5.0
"""Seconds that relays have to acknowledge the route of a transceiver that is ready."""


class Succession:
    """Who is to come, who has come, and whom they replace."""

    def __init__(
        self, fleet: Fleet, config: Config, wanted: Sequence[WorkerSpec], roles: Collection[Role]
    ) -> None:
        """`wanted` says how many there shall be of each role, `roles` whose present ones are replaced."""
        self._fleet = fleet
        self._config = config
        self._leaving: dict[Role, list[Worker]] = {}
        self._new: dict[Role, tuple[WorkerSpec, ...]] = {}
        replaced = set(roles)
        for role in BESIDE:
            present = fleet.staying(role)
            number = sum(spec.role is role for spec in wanted)
            kept = 0 if role in replaced else min(number, len(present))
            self._leaving[role] = present[kept:]
            taken = {worker.spec.index for worker in fleet.of(role)}
            self._new[role] = new_specs(role, number - kept, taken)
            if role is Role.REALTIME and (self._leaving[role] or self._new[role]):
                replaced.add(Role.TRANSCEIVER)  # they learn at birth which of these there are
        kept_realtime = [
            w for w in fleet.staying(Role.REALTIME) if w not in self._leaving[Role.REALTIME]
        ]
        self._realtime = tuple(w.spec.index for w in kept_realtime) + tuple(
            spec.index for spec in self._new[Role.REALTIME]
        )
        canaries = [specs[0] for specs in self._new.values() if specs]
        self.canaries: Final = len(canaries)
        """How many of them are."""
        others = [spec for specs in self._new.values() for spec in specs[1:]]
        self._coming = [*canaries, *others]
        self.number: Final = len(self._coming)
        """How many are to come."""
        self._joining: list[Worker] = []
        self._patience: Instant | None = None

    @property
    def is_needed(self) -> bool:
        """There is anything to do."""
        return bool(self._coming) or any(self._leaving.values())

    @property
    def deadline(self) -> Instant | None:
        """When `failure` may say something though nothing has happened."""
        return self._patience

    def failure(self, now: Instant) -> str:
        """Why it cannot go on; empty if it can."""
        for worker in self._joining:
            if worker.life.state in (WorkerState.BACKOFF, WorkerState.FAILED):
                return f"{worker.name} {worker.life.why}"
        if self._patience is not None and now >= self._patience:
            return f"not every relay has taken notice of {self._joining[-1].name}"
        return ""

    def bring_up(self, number: int, now: Instant, known: Callable[[Worker], bool]) -> bool:
        """Start the first so many, one after the other. False while there is something to wait for.

        `known`: every relay knows the route of that transceiver.
        """
        for worker in self._joining:
            if worker.life.state is not WorkerState.READY:
                self._patience = None
                return False
            if worker.spec.role is Role.TRANSCEIVER and not known(worker):
                self._patience = now + KNOWN_WITHIN if self._patience is None else self._patience
                return False
        self._patience = None
        if len(self._joining) >= number:
            return True
        spec = self._coming[len(self._joining)]
        self._joining.append(self._fleet.add(spec, self._config, self._realtime))
        return False

    def join(self) -> None:
        """What is new comes to these from now on; those that they replace finish what they have."""
        for worker in self._joining:
            worker.joining = False
        for workers in self._leaving.values():
            for worker in workers:
                worker.retire_by = Goal.DRAIN

    def give_up(self) -> None:
        """Those that were to join end; nothing has changed."""
        self._patience = None
        for worker in self._joining:
            worker.retire_by = Goal.STOP

    @property
    def replaced(self) -> tuple[WorkerName, ...]:
        """Who has a successor."""
        return self._beyond(lambda leaving, new: [worker.name for worker in leaving[: len(new)]])

    @property
    def removed(self) -> tuple[WorkerName, ...]:
        """Who leaves and has none."""
        return self._beyond(lambda leaving, new: [worker.name for worker in leaving[len(new) :]])

    @property
    def added(self) -> tuple[WorkerName, ...]:
        """Who comes and is none."""
        return self._beyond(lambda leaving, new: [spec.name for spec in new[len(leaving) :]])

    def _beyond(
        self, pick: Callable[[list[Worker], tuple[WorkerSpec, ...]], list[WorkerName]]
    ) -> tuple[WorkerName, ...]:
        return tuple(name for role in BESIDE for name in pick(self._leaving[role], self._new[role]))
