"""The life of a worker, through all the processes that bear its name.

    STOPPED --spawn--> STARTING --Ready--> READY --drain, stop--> DRAINING --exit--> STOPPED
                        |   ^                |                       |
      exit before Ready |   | delay over     | crash                 | exit, but still wanted
                        v   |                v                       v
                     +--------- BACKOFF <----+-----------------------+
                     |
                     +-- several times, or exit code 78 --> FAILED

    READY --release--> RELEASING --Released, exit--> STOPPED --spawn--> STARTING

STOPPED has no process and wants none (or is about to get one). STARTING has a process that has not said
Ready. READY serves. DRAINING has a process that will end by itself, asked by us or by an operator's
SIGTERM. RELEASING has a process (a relay's) that was told to let go of its sockets and its table; when it
has, or has ended, its successor may have them, and not before: one owner at a time. BACKOFF has no process
and waits to start one. FAILED has no process because starting does not work.

A crash and a failed boot are different things. A worker that served and then died met something in its
input or a bug; a fresh process will most likely serve again, so it is restarted, at once the first times
and ever more slowly while it keeps dying young. A worker that never became ready will not become ready by
being started often: after a few tries it is FAILED with the reason, tried again ever more seldom, and not
at all if it said that its configuration is wrong (exit code 78).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from config.ids import Instant

EXIT_CONFIG: Final = 78
START_TIMEOUT: Final = 20.0
"""Seconds from exec to Ready; a fresh interpreter takes 0.3 to 1, a starved host many times that."""
HEARTBEAT_TIMEOUT: Final = 8.0
"""Seconds without a heartbeat (sent every other second) after which a worker is taken for stuck."""
MAX_BOOT_FAILURES: Final = 3
FAILED_AGAIN: Final = 5.0
"""Seconds until a FAILED worker is tried again, twice as many each time: it may have been the machine."""
FAILED_RETRY: Final = 60.0
"""But never more than these."""
RELEASE_TIMEOUT: Final = 4.0
"""Seconds to let go of the sockets. That takes some milliseconds in which the kernel holds what arrives;
but on a starved host it takes long to be told, and until then a relay forwards. One that is killed leaves
no TCP connections."""
FREE_CRASHES: Final = 5
"""Deaths in a row, each at a young age, that are answered at once: live calls wait for the successor."""
BACKOFF_BASE: Final = 0.2
BACKOFF_CAP: Final = 10.0
HEALTHY_AFTER: Final = 30.0
"""Seconds of service after which earlier crashes are forgiven."""


class WorkerState(StrEnum):
    """Where a worker stands."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    RELEASING = "releasing"
    BACKOFF = "back-off"
    FAILED = "failed"


_S = WorkerState
TRANSITIONS: Final[dict[WorkerState, frozenset[WorkerState]]] = {
    _S.STOPPED: frozenset({_S.STARTING}),
    _S.STARTING: frozenset({_S.READY, _S.DRAINING, _S.BACKOFF, _S.FAILED}),
    _S.READY: frozenset({_S.DRAINING, _S.RELEASING, _S.BACKOFF}),
    _S.DRAINING: frozenset({_S.STOPPED, _S.BACKOFF}),
    _S.RELEASING: frozenset({_S.STOPPED}),
    _S.BACKOFF: frozenset({_S.STARTING, _S.STOPPED}),
    _S.FAILED: frozenset({_S.STARTING, _S.STOPPED}),
}
HAS_PROCESS: Final = frozenset({_S.STARTING, _S.READY, _S.DRAINING, _S.RELEASING})


class Lifecycle:
    """State, timers and failure counts of one worker. Moves only along TRANSITIONS."""

    def __init__(self) -> None:
        self.state = WorkerState.STOPPED
        self.why = ""
        """Why it is in this state, for a human; empty when that is plain."""
        self.since: Instant = 0.0
        self.restarts = 0
        self.misconfigured = False
        self._boot_failures = 0
        self._crashes = 0
        self._heard: Instant = 0.0
        self._until: Instant | None = None
        self._kill_reason = ""
        self._patience = START_TIMEOUT

    @property
    def has_process(self) -> bool:
        """A process was asked for and has not been reported gone."""
        return self.state in HAS_PROCESS

    @property
    def deadline(self) -> Instant | None:
        """When `overdue` has to be asked again."""
        if self._kill_reason:
            return None
        if self.state in (WorkerState.READY, WorkerState.DRAINING):
            silent = self._heard + HEARTBEAT_TIMEOUT
            return silent if self._until is None else min(silent, self._until)
        return self._until

    def spawn(self, now: Instant, within: float = START_TIMEOUT) -> None:
        """A process is being started, and has that many seconds to become ready."""
        if self.state is not WorkerState.STOPPED:
            self.restarts += 1
        self._patience = within
        self._enter(WorkerState.STARTING, now, until=now + within)

    def heard(self, now: Instant) -> None:
        """The process gave a sign of life."""
        self._heard = now

    def ready(self, now: Instant) -> None:
        """The process serves."""
        self._boot_failures = 0
        self._enter(WorkerState.READY, now)

    def drain(self, now: Instant, *, until: Instant | None, why: str = "") -> None:
        """The process was told to end, or says that it is ending; it is killed at `until`."""
        if self.state is WorkerState.DRAINING:
            self._until = until
        else:
            self._heard = now
            self._enter(WorkerState.DRAINING, now, until=until, why=why)

    def release(self, now: Instant) -> None:
        """The process was told to let go of what its successor needs."""
        self._enter(WorkerState.RELEASING, now, until=now + RELEASE_TIMEOUT)

    def released(self, now: Instant) -> None:
        """It has. The process no longer has the name, and ends when its successor is born."""
        self._enter(WorkerState.STOPPED, now)

    def hasten(self, now: Instant) -> None:
        """What made it fail has been changed: try again without waiting."""
        if self.state in (WorkerState.BACKOFF, WorkerState.FAILED):
            self.misconfigured, self._until = False, now

    def retire(self, now: Instant) -> None:
        """It has no process and no longer needs one."""
        self._enter(WorkerState.STOPPED, now)

    def overdue(self, now: Instant) -> str:
        """Why the process must be killed now, or empty. Says so once per process."""
        deadline = self.deadline
        if not self.has_process or deadline is None or now < deadline:
            return ""
        if self.state is WorkerState.STARTING:
            self._kill_reason = f"not ready within {self._patience:g} s"
        elif self.state is WorkerState.RELEASING:
            self._kill_reason = f"did not release its sockets within {RELEASE_TIMEOUT:g} s"
        elif now >= self._heard + HEARTBEAT_TIMEOUT:
            self._kill_reason = f"no heartbeat for {HEARTBEAT_TIMEOUT:g} s"
        else:
            self._kill_reason = "did not end in time"
        return self._kill_reason

    def exited(self, cause: str, code: int | None, now: Instant, *, wanted: bool) -> None:
        """The process is gone (`code` None: it never was, or nobody knows). Decides what comes next."""
        why = f"{self._kill_reason} ({cause})" if self._kill_reason else cause
        match self.state:
            case WorkerState.STARTING:
                self._boot_failed(why, code, now)
            case WorkerState.READY:
                self._crashed(why, now)
            case WorkerState.RELEASING:
                self._enter(WorkerState.STOPPED, now, why=why if code else "")
            case WorkerState.DRAINING if not wanted:
                in_order = not code and not self._kill_reason
                self._enter(WorkerState.STOPPED, now, why="" if in_order else why)
            case WorkerState.DRAINING if code == 0:
                self._enter(
                    WorkerState.BACKOFF, now, until=now, why="was told to end by somebody else"
                )
            case WorkerState.DRAINING:
                self._crashed(why, now)
            case WorkerState.STOPPED | WorkerState.BACKOFF | WorkerState.FAILED:
                pass

    def _boot_failed(self, why: str, code: int | None, now: Instant) -> None:
        self._boot_failures += 1
        if code == EXIT_CONFIG:
            self.misconfigured = True
            self._enter(WorkerState.FAILED, now, why=f"its configuration is wrong ({why})")
        elif self._boot_failures >= MAX_BOOT_FAILURES:
            reason = f"never became ready in {self._boot_failures} starts, last: {why}"
            wait = FAILED_AGAIN * 2 ** min(self._boot_failures - MAX_BOOT_FAILURES, 16)
            until = now + min(FAILED_RETRY, wait)
            self._enter(WorkerState.FAILED, now, until=until, why=reason)
        else:
            delay = _backoff(self._boot_failures)
            self._enter(WorkerState.BACKOFF, now, until=now + delay, why=f"did not start: {why}")

    def _crashed(self, why: str, now: Instant) -> None:
        healthy = self.state is WorkerState.READY and now - self.since >= HEALTHY_AFTER
        self._crashes = 0 if healthy else self._crashes + 1
        often = self._crashes - FREE_CRASHES
        until = now + (_backoff(often) if often > 0 else 0.0)
        self._enter(WorkerState.BACKOFF, now, until=until, why=why)

    def _enter(
        self, state: WorkerState, now: Instant, *, until: Instant | None = None, why: str = ""
    ) -> None:
        assert state in TRANSITIONS[self.state], f"{self.state} -> {state}"
        self.state, self.since, self.why = state, now, why
        self._until = until
        if state not in HAS_PROCESS or state is WorkerState.STARTING:
            self._kill_reason = ""
        if state is WorkerState.READY:
            self._heard = now


def cause_of(code: int | None) -> str:
    """What an exit code, or minus a signal, says; None: nobody knows it."""
    if code is None:
        return "ended, and its exit code is unknown"
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


def _backoff(failures: int) -> float:
    """Seconds to wait after that many failures in a row, the first being 1."""
    return float(min(BACKOFF_CAP, BACKOFF_BASE * 2 ** min(failures - 1, 16)))
