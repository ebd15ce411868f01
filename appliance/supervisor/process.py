"""A worker process: started by exec, handed its assignment, waited for.

A fresh interpreter and nothing inherited but one socket: a worker that held its siblings' sockets would
keep them open after their death and swallow their datagrams. No death signal is set: workers outlive a
supervisor that dies, and serve on until the next one comes.
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
from ipc.handover import assignment_pair, send_assignment
from ipc.messages.lifecycle import Assignment

_TREE: Final = Path(__file__).resolve().parents[2]
_KEPT: Final = frozenset(
    {"PATH", "HOME", "LANG", "TZ", "TERM", "NO_COLOR", "FORCE_COLOR", "TMPDIR", "MALLOC_ARENA_MAX"}
)
_KEPT_PREFIXES: Final = ("LC_", "COVERAGE_", "PYTHONMALLOC", "PYTHONDONTWRITE", "PYTHONDEVMODE")


class WorkerProcess:
    """One running worker. The supervisor is its parent and the only one who reaps it."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        """Raises OSError if there is no descriptor left to watch it with."""
        self._popen = popen
        self._pidfd = os.pidfd_open(popen.pid)

    @property
    def pid(self) -> int:
        """Its process id; not given to another process before `wait` has returned."""
        return self._popen.pid

    async def wait(self) -> int:
        """Wait, once, for its end: the exit code, or minus the signal that killed it."""
        try:
            await trio.lowlevel.wait_readable(self._pidfd)
        finally:
            os.close(self._pidfd)
        return self._popen.wait()

    def kill(self) -> None:
        """SIGKILL, if it has not been reaped yet."""
        self._popen.send_signal(signal.SIGKILL)


def start_worker(
    role: Role, assignment: Assignment, sockets: Sequence[socket.socket]
) -> WorkerProcess:
    """Exec a worker and hand it its assignment and sockets. Raises OSError or HandoverError.

    Only to be called from the main thread. The assignment waits in the socket until the worker reads it.
    """
    ours, theirs = assignment_pair()
    with ours, theirs:
        popen = subprocess.Popen(
            # -P: the directory we were started in must not provide modules.
            [
                sys.executable,
                "-P",
                "-m",
                f"workers.{role.label}",
                "--assignment-fd",
                str(theirs.fileno()),
            ],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=sys.__stderr__,
            start_new_session=True,
            env=worker_environment(os.environ),
            cwd="/",
        )
        try:
            send_assignment(ours, assignment, [each.fileno() for each in sockets])
            return WorkerProcess(popen)
        except BaseException:
            popen.kill()
            popen.wait()
            raise


def worker_environment(ours: Mapping[str, str]) -> dict[str, str]:
    """What a worker needs of our environment, and where it finds the code that we run."""
    kept = {k: v for k, v in ours.items() if k in _KEPT or k.startswith(_KEPT_PREFIXES)}
    if str(_TREE) not in site.getsitepackages():
        kept["PYTHONPATH"] = str(_TREE)
    return kept
