"""Where the processes of the relay bench run, and with what weight: alike for all contenders.

Linux groups processes by session before it shares out a CPU (autogroup, sched(7)). The supervisor gives
each worker a session, so each process of the bench gets one as well: else those of one session would
share what a worker has to itself.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

_WRAP = 'test "$0" = 0 || echo "$0" 2>/dev/null >/proc/self/autogroup; exec "$@"'


def placed(command: Sequence[str], cpu: int | None, nice: int = 0) -> list[str]:
    """To be started with `start_new_session`; it ends when the bench does. `cpu`: None for any."""
    pinned = [] if cpu is None else ["taskset", "-c", str(cpu)]
    pinned += ["nice", "-n", str(nice)]
    return ["sh", "-c", _WRAP, str(nice), *pinned, "setpriv", "--pdeathsig", "KILL", *command]


class Placement(NamedTuple):
    """Two CPUs and a nice value."""

    relay: int
    load: int
    nice: int = 0

    def command(self, cpu: int, command: Sequence[str]) -> list[str]:
        """Placed there with this weight."""
        return placed(command, cpu, self.nice)

    def move(self, root: int, *, but: int) -> None:
        """All running processes from `root` on to the load's CPU, except one; all get the weight."""
        for pid in family(root):
            if pid != but:
                pin(pid, self.load)
            if self.nice:
                for task in Path(f"/proc/{pid}/task").iterdir():
                    os.setpriority(os.PRIO_PROCESS, int(task.name), self.nice)
        if self.nice:
            weigh(root, self.nice)


def pin(pid: int, cpu: int) -> None:
    """All threads of a process run there from now on."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {cpu})


def weigh(root: int, nice: int) -> None:
    """Give all running processes from `root` on this weight among the sessions of the machine."""
    for pid in family(root):
        with suppress(OSError):  # a kernel without autogroups
            Path(f"/proc/{pid}/autogroup").write_text(str(nice), encoding="ascii")


@contextmanager
def started(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process in a session of its own, ended behind you."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, text=True, start_new_session=True, **options
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()


def family(root: int) -> set[int]:
    """That process and all that come from it."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    family, grown = {root}, True
    while grown:
        grown = bool(more := {p for p, parent in parents.items() if parent in family} - family)
        family |= more
    return family
