"""A worker process: started by exec, handed its assignment, waited for.

A fresh interpreter and nothing inherited but one socket: a worker that held its siblings' sockets would
keep them open after their death and swallow their datagrams. A spare is such a process whose assignment is
yet to come; as it owns nothing, it ends with its supervisor. No death signal is set: workers outlive
a supervisor that dies, and serve on until the next one comes.
"""

from __future__ import annotations

import os
import select
import signal
import site
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import trio

from config.ids import Role
from ipc.handover import HandoverError, assignment_pair, send_assignment, send_siblings
from ipc.messages.lifecycle import Assignment

_TREE: Final = Path(__file__).resolve().parents[2]
_KEPT: Final = frozenset(
    {"PATH", "HOME", "LANG", "TZ", "TERM", "NO_COLOR", "FORCE_COLOR", "TMPDIR", "MALLOC_ARENA_MAX"}
    | {"JOURNAL_STREAM"}  # ipc/journal.py
)
_KEPT_PREFIXES: Final = ("LC_", "COVERAGE_", "PYTHONMALLOC", "PYTHONDONTWRITE", "PYTHONDEVMODE")


class WorkerProcess:
    """One process: with an assignment, or as a spare still without, or of a supervisor that died."""

    def __init__(
        self,
        pid: int,
        link: socket.socket | None = None,
        popen: subprocess.Popen[bytes] | None = None,
    ) -> None:
        """`link` is our end of its socket pair, `popen` what we reap it by if it is our child.

        Raises OSError if it cannot be watched.
        """
        self.pid = pid
        """Its process id; of a child not given to another process before `wait` has returned."""
        self.link = link
        """Where descriptors go; a survivor brings its own when it claims what it is."""
        self._popen = popen
        self._pidfd: int | None = os.pidfd_open(pid)
        self.siblings: set[int] = set()
        """A relay's: whose tables it has."""

    @property
    def lives(self) -> bool:
        """It has not ended."""
        if self._pidfd is None:
            return False
        return not select.select([self._pidfd], [], [], 0)[0]

    async def waits(self) -> bool:
        """Wait until it has imported what it needs; false if it ended instead."""
        link = self._way
        await trio.lowlevel.wait_readable(link)
        try:
            return bool(link.recv(1, socket.MSG_DONTWAIT))
        except OSError:
            return False

    def assign(self, assignment: Assignment, sockets: Sequence[int | socket.socket]) -> None:
        """Hand over what makes it a worker. Raises HandoverError, also if it is dead."""
        send_assignment(self._way, assignment, sockets)

    def show(self, tables: Mapping[int, int]) -> None:
        """Hand a relay more siblings' tables, by index. Raises HandoverError."""
        send_siblings(self._way, list(tables.values()))
        self.siblings |= tables.keys()

    async def wait(self) -> int | None:
        """Wait, once, for its end: the exit code, or minus the signal that killed it.

        None if it is not our child: then only its dead parent could have known.
        """
        assert self._pidfd is not None
        try:
            await trio.lowlevel.wait_readable(self._pidfd)
            return self._reap(self._pidfd)
        finally:
            self.close()

    def _reap(self, pidfd: int) -> int | None:
        if self._popen is not None:
            return self._popen.wait()
        try:  # a survivor is our child, too, if we are what its supervisor has become
            ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        except ChildProcessError:
            return None
        if ended is None:
            return None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    def close(self) -> None:
        """Let go of it: it is not watched any more, nor killed."""
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None
        if self.link is not None:
            self.link.close()

    def kill(self) -> None:
        """SIGKILL, if it has not ended yet."""
        if self._pidfd is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    @property
    def _way(self) -> socket.socket:
        if self.link is None:
            raise HandoverError("there is no way to that process")
        return self.link

    def end(self) -> None:
        """Kill and reap it, when nobody watches it any more."""
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()


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
            return WorkerProcess(popen.pid, ours, popen)
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
