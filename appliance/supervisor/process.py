"""A worker process: started by exec, handed its assignment, waited for.

A fresh interpreter and nothing inherited but one socket: a worker that held its siblings' sockets would
keep them open after their death and swallow their datagrams. A spare is such a process whose assignment is
yet to come; as it owns nothing, it ends with its supervisor. No death signal is set: workers outlive
a supervisor that dies, and serve on until the next one comes.
"""

from __future__ import annotations

import os
import signal
import site
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import trio

from config.ids import Role
from ipc.handover import assignment_pair, send_assignment, send_siblings
from ipc.messages.lifecycle import Assignment

_TREE: Final = Path(__file__).resolve().parents[2]
_KEPT: Final = frozenset(
    {"PATH", "HOME", "LANG", "TZ", "TERM", "NO_COLOR", "FORCE_COLOR", "TMPDIR", "MALLOC_ARENA_MAX"}
)
_KEPT_PREFIXES: Final = ("LC_", "COVERAGE_", "PYTHONMALLOC", "PYTHONDONTWRITE", "PYTHONDEVMODE")


class WorkerProcess:
    """One process, with an assignment or, as a spare, still without. We are its parent and reap it."""

    def __init__(self, popen: subprocess.Popen[bytes], link: socket.socket) -> None:
        """`link` is our end of its socket pair. Raises OSError if it cannot be watched."""
        self._popen = popen
        self._link = link
        self._pidfd = os.pidfd_open(popen.pid)
        self.siblings: set[int] = set()
        """A relay's: whose tables it has."""

    @property
    def pid(self) -> int:
        """Its process id; not given to another process before `wait` has returned."""
        return self._popen.pid

    async def waits(self) -> bool:
        """Wait until it has imported what it needs; false if it ended instead."""
        await trio.lowlevel.wait_readable(self._link)
        try:
            return bool(self._link.recv(1, socket.MSG_DONTWAIT))
        except OSError:
            return False

    def assign(self, assignment: Assignment, sockets: Sequence[int | socket.socket]) -> None:
        """Hand over what makes it a worker. Raises HandoverError, also if it is dead."""
        send_assignment(self._link, assignment, sockets)

    def show(self, tables: Mapping[int, int]) -> None:
        """Hand a relay more siblings' tables, by index. Raises HandoverError."""
        send_siblings(self._link, list(tables.values()))
        self.siblings |= tables.keys()

    async def wait(self) -> int:
        """Wait, once, for its end: the exit code, or minus the signal that killed it."""
        try:
            await trio.lowlevel.wait_readable(self._pidfd)
        finally:
            os.close(self._pidfd)
            self._link.close()
        return self._popen.wait()

    def kill(self) -> None:
        """SIGKILL, if it has not been reaped yet."""
        self._popen.send_signal(signal.SIGKILL)


def start_process(role: Role) -> WorkerProcess:
    """Exec a process that waits for its assignment, and ends if we do before. Raises OSError.

    Only to be called from the main thread.
    """
    ours, theirs = assignment_pair()
    try:
        with theirs:
            # -P: the directory we were started in must not provide modules.
            command = [sys.executable, "-P", "-m", f"workers.{role.label}"]
            popen = subprocess.Popen(
                [*command, "--assignment-fd", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=sys.__stderr__,
                start_new_session=True,
                env=worker_environment(os.environ),
                cwd="/",
            )
        try:
            return WorkerProcess(popen, ours)
        except BaseException:
            popen.kill()
            popen.wait()
            raise
    except BaseException:
        ours.close()
        raise


def worker_environment(ours: Mapping[str, str]) -> dict[str, str]:
    """What a worker needs of our environment, and where it finds the code that we run."""
    kept = {k: v for k, v in ours.items() if k in _KEPT or k.startswith(_KEPT_PREFIXES)}
    if str(_TREE) not in site.getsitepackages():
        kept["PYTHONPATH"] = str(_TREE)
    return kept
