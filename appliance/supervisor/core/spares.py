"""Spare processes: one a role that live calls wait for, exec'd and imported, that only lack an assignment.

A fresh interpreter takes 300 ms and more until it serves; a spare takes some tens, and that is the gap that
live calls feel when a relay dies. It owns nothing: no socket, no key, no name. A new one is started when
its predecessor is taken, though not before everything serves again: it must not compete with it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from appliance.supervisor.core.fleet import Fleet
from appliance.supervisor.core.interface import EndSpare, SpareId, StartSpare
from appliance.supervisor.core.lifecycle import WorkerState
from config.ids import Instant, Role
from ipc.messages.admin import SpareStatus

_HURRIED: Final = frozenset({Role.RELAY, Role.REALTIME})
"""Roles whose successors live calls wait for. A transceiver's calls end with it, and others take new ones;
for signaling they wait in the listener's queue."""
RETRY_BASE: Final = 1.0
RETRY_CAP: Final = 60.0


class Spares:
    """Which spares there are."""

    def __init__(self) -> None:
        self._spares: dict[Role, SpareId] = {}
        self._pids: dict[SpareId, int] = {}
        self._waiting: set[SpareId] = set()
        self._failures: dict[Role, int] = {}
        self._not_before: dict[Role, Instant] = {}
        self._number = 0

    def started(self, spare: SpareId, pid: int) -> None:
        """It has a process."""
        if spare in self._spares.values():
            self._pids[spare] = pid

    def waits(self, spare: SpareId) -> None:
        """It can be assigned at once."""
        if spare in self._spares.values():
            self._waiting.add(spare)
            self._failures.pop(spare.role, None)

    def gone(self, spare: SpareId, now: Instant) -> None:
        """It ended before it was needed: the next one after a while, ever longer if none comes up."""
        if self._spares.get(spare.role) != spare:
            return  # it was taken, or dismissed
        self._forget(spare)
        failures = self._failures.get(spare.role, 0)
        self._failures[spare.role] = failures + 1
        self._not_before[spare.role] = now + min(RETRY_CAP, RETRY_BASE * 2.0 ** min(failures, 16))

    def take(self, role: Role) -> SpareId | None:
        """The one to use now; one that still imports is ahead of a process yet to be started."""
        spare = self._spares.get(role)
        if spare is not None:
            self._forget(spare)
        return spare

    def is_waiting(self, role: Role) -> bool:
        """There is one that can be assigned at once."""
        return self._spares.get(role) in self._waiting

    def fill(self, roles: Collection[Role], now: Instant) -> list[StartSpare]:
        """Start those of these roles that are missing and whose time has come."""
        missing = [
            role
            for role in Role
            if role in roles and role not in self._spares and now >= self._not_before.get(role, now)
        ]
        for role in missing:
            self._number += 1
            self._spares[role] = SpareId(role, self._number)
            self._not_before.pop(role, None)
        return [StartSpare(self._spares[role]) for role in missing]

    def tend(
        self, fleet: Fleet, now: Instant, *, running: bool, started: bool
    ) -> list[StartSpare] | list[EndSpare]:
        """Fill up when everything serves; end them when nothing is to be started any more.

        `running`: the appliance does not end; `started`: it has served.
        """
        if not running or not fleet.config.supervisor.spares:
            return self.dismiss()
        busy = {WorkerState.STOPPED, WorkerState.STARTING, WorkerState.RELEASING}
        if not started or any(worker.life.state in busy for worker in fleet):
            return []
        return self.fill({worker.spec.role for worker in fleet} & _HURRIED, now)

    def dismiss(self) -> list[EndSpare]:
        """End them all."""
        ending = list(self._spares.values())
        for spare in ending:
            self._forget(spare)
        self._not_before.clear()
        return [EndSpare(spare) for spare in ending]

    @property
    def deadline(self) -> Instant | None:
        """When `fill` may have something to do again."""
        return min(self._not_before.values(), default=None)

    def status(self) -> tuple[SpareStatus, ...]:
        """Those that have a process, as `tandem status` shows them."""
        return tuple(
            SpareStatus(spare.role.label, self._pids[spare], spare in self._waiting)
            for spare in self._spares.values()
            if spare in self._pids
        )

    def _forget(self, spare: SpareId) -> None:
        del self._spares[spare.role]
        self._pids.pop(spare, None)
        self._waiting.discard(spare)
