"""Relays that have let go of their sockets and table, and keep them open until the successor has them.

    Released -> the successor says Hello, or fails, or is not wanted -> Stop -> ended, or killed

Before its Hello a successor is on nobody's roster. Were the supervisor to die then, and the released relay
gone, nobody would be left whom the next supervisor could ask for the sockets. So it stays, reads nothing,
and gives them back like any other survivor.
"""

from __future__ import annotations

from appliance.supervisor.core.fleet import Fleet
from appliance.supervisor.core.interface import Kill, ProcessId, Send
from appliance.supervisor.core.lifecycle import WorkerState
from appliance.supervisor.core.patience import STOP_GRACE
from config.ids import Instant
from ipc.messages.lifecycle import Stop


class Releases:
    """The processes that no longer have the name of a worker, and have not ended."""

    def __init__(self) -> None:
        self._waiting: dict[ProcessId, int] = {}
        """Those that have to stay, with their pids."""
        self._ending: dict[ProcessId, Instant] = {}
        """Those that were told to end, and when they are killed if they have not."""

    def __contains__(self, process: ProcessId) -> bool:
        return process in self._waiting or process in self._ending

    def __bool__(self) -> bool:
        return bool(self._waiting or self._ending)

    @property
    def deadline(self) -> Instant | None:
        """When `overdue` has something to say; who waits has the patience of the successor's start."""
        return min(self._ending.values(), default=None)

    def add(self, process: ProcessId, pid: int) -> None:
        """It has released what it had."""
        self._waiting[process] = pid

    def gone(self, process: ProcessId) -> None:
        """It has ended."""
        self._waiting.pop(process, None)
        self._ending.pop(process, None)

    def let_go(self, fleet: Fleet, now: Instant) -> list[Send]:
        """Tell those to end whose successors are not about to be born; call it when those are started."""
        told: list[Send] = []
        for process, pid in list(self._waiting.items()):
            worker = fleet.get(process.name)
            is_coming = worker is not None and worker.life.state is WorkerState.STARTING
            if worker is None or worker.welcomed or not is_coming:
                del self._waiting[process]
                self._ending[process] = now + STOP_GRACE
                told.append(Send(process, pid, Stop()))
        return told

    def overdue(self, now: Instant) -> list[Kill]:
        """Those that were told and have not ended."""
        late = [process for process, until in self._ending.items() if now >= until]
        for process in late:
            self._ending[process] = now + STOP_GRACE
        return [Kill(process, "did not end after its release") for process in late]
