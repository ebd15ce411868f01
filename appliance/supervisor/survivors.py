"""The living workers of a supervisor that died: who they are, and what they give back.

The roster says which processes there are. One that says Hello is told to bring what it was born with
(Reclaim), and comes to a socket in the 0700 directory with its Claim. It is believed when all these are one
process: the peer of that connection as the kernel names it, the holder of its generation on the roster, who
is connected to the control socket by that name (the token says so), and the process whose pidfd was opened
before all that was looked at and has not ended since. A name is nobody's to take by saying it.
"""

from __future__ import annotations

import os
import secrets
import socket
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

import trio

from appliance.supervisor.core.interface import Adopted, ProcessId
from appliance.supervisor.problems import EXIT_UNAVAILABLE, CannotStart
from appliance.supervisor.process import WorkerProcess
from appliance.supervisor.terms import Terms, configuration
from ipc import roster
from ipc.descriptors import close_all
from ipc.handover import RECLAIM_SOCKET, HandoverError, receive_claim
from ipc.log import Logger
from ipc.messages.lifecycle import Assignment, Claim, Reclaim
from ipc.socket_file import EndpointError, SocketFile

CLAIM_WITHIN: Final = 5.0
"""Seconds that a connection may take to say what it is."""
_CREDENTIALS: Final = struct.Struct("@iII")


class Claimed(NamedTuple):
    """One that is believed, and what it brought."""

    process: WorkerProcess
    assignment: Assignment
    fds: list[int]


class Survivors:
    """Everybody on the roster when we came."""

    def __init__(self, directory: Path, log: Logger) -> None:
        """`directory` is that of the workers' sockets. Raises OSError."""
        self._directory = directory
        self._log = log
        self.processes: dict[int, WorkerProcess] = {}
        """By generation."""
        for generation, pid in roster.living(directory).items():
            try:
                self.processes[generation] = WorkerProcess(pid)
            except ProcessLookupError:
                continue
        # What ended before its pidfd was opened may have left its pid to another one.
        holders = roster.living(directory)
        for generation, process in list(self.processes.items()):
            if holders.get(generation) != process.pid:
                process.close()
                del self.processes[generation]
        self._tokens: dict[int, bytes] = {}
        self._claimed: dict[ProcessId, Claimed] = {}

    @property
    def living(self) -> dict[int, int]:
        """Generation -> pid."""
        return {generation: process.pid for generation, process in self.processes.items()}

    def invite(self, process: ProcessId) -> Reclaim:
        """What to say to it so that it claims to be that process."""
        token = self._tokens.setdefault(process.generation, secrets.token_bytes(16))
        return Reclaim(token)

    async def listen(
        self,
        believed: Callable[[Adopted], None],
        terms: Terms,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Take claims, for ever. Raises CannotStart."""
        path = self._directory / RECLAIM_SOCKET
        try:
            file = SocketFile(path, 0o600, socket.SOCK_SEQPACKET)
        except (OSError, EndpointError) as error:
            raise CannotStart([f"{path}: {error}"], EXIT_UNAVAILABLE) from None
        try:
            listener = trio.socket.from_stdlib_socket(file.listener)
            task_status.started()
            async with trio.open_nursery() as nursery:
                while True:
                    connection, _ = await listener.accept()
                    nursery.start_soon(self._hear, connection, believed, terms)
        finally:
            file.leave()

    async def _hear(
        self, connection: trio.socket.SocketType, believed: Callable[[Adopted], None], terms: Terms
    ) -> None:
        plain = socket.socket(fileno=connection.detach())
        try:
            with trio.fail_after(CLAIM_WITHIN):
                await trio.lowlevel.wait_readable(plain)
            claim, fds = receive_claim(plain)
        except (trio.TooSlowError, HandoverError, OSError) as error:
            plain.close()
            self._log.warning("claim refused", why=str(error) or "nothing was said")
            return
        except BaseException:
            plain.close()
            raise
        if why := self._doubt(claim, _peer_of(plain)):
            self._log.warning("claim refused", who=claim.assignment.name, why=why)
            plain.close()
            close_all(fds)
            return
        assignment = claim.assignment
        name = ProcessId(assignment.name, assignment.generation)
        process = self.processes[assignment.generation]
        if (earlier := self._claimed.pop(name, None)) is not None:
            close_all(earlier.fds)
        if process.link is not None:
            process.link.close()
        process.link = plain
        self._claimed[name] = Claimed(process, assignment, fds)
        believed(
            Adopted(
                name,
                process.pid,
                assignment.role,
                assignment.index,
                claim.hello.phase,
                configuration(assignment),
                assignment.route,
                claim.ready,
                terms.misfit(assignment),
                claim.hello.release,
            )
        )

    def _doubt(self, claim: Claim, pid: int) -> str:
        """Why it is not believed; empty if everything says the same."""
        hello, assignment = claim.hello, claim.assignment
        process = self.processes.get(assignment.generation)
        if process is None or process.pid != pid:
            return f"process {pid} is not number {assignment.generation} on the roster"
        if (hello.name, hello.role, hello.generation, hello.pid) != (
            assignment.name,
            assignment.role,
            assignment.generation,
            pid,
        ):
            return "its Hello and its assignment differ"
        token = self._tokens.get(assignment.generation, b"")
        if not token or not secrets.compare_digest(claim.token, token):
            return "it was not asked on the control socket"
        if roster.living(self._directory).get(assignment.generation) != pid or not process.lives:
            return "it has ended"
        return ""

    def settle(self, adopted: Iterable[ProcessId]) -> list[tuple[ProcessId, Claimed]]:
        """These are workers of ours from now on, and what they brought is the caller's."""
        theirs = [(process, self._claimed.pop(process)) for process in adopted]
        for claimed in self._claimed.values():
            close_all(claimed.fds)
        self._claimed.clear()
        return theirs


def _peer_of(connection: socket.socket) -> int:
    """The process that connected; 0 if it is not of our user."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, user, _ = _CREDENTIALS.unpack(raw)
    return int(pid) if user == os.geteuid() else 0
