"""What a worker is given with descriptors, over the socket pair that it was exec'd with.

One SOCK_SEQPACKET message carries the encoded Assignment and, as SCM_RIGHTS, one descriptor for each of
its `descriptors`, in that order. Nothing of it appears in argv or in the environment. The same way go the
tables of relays that are added later (Siblings), and, to a supervisor whose predecessor died, the whole of
it back (Claim).
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Final

from ipc.codec import CodecError, decode, encode
from ipc.descriptors import close_all, passed, rights_to, room_for
from ipc.messages import Message
from ipc.messages.lifecycle import Assignment, Claim, Siblings

MAX_ASSIGNMENT: Final = 1 << 17
"""Bytes of one encoded assignment; fits into the default socket buffer of a socket pair."""
MAX_DESCRIPTORS: Final = 250
"""Sockets of one worker; the kernel passes at most 253 with one message."""
RECLAIM_SOCKET: Final = "reclaim.sock"
"""In the workers' directory: where a Claim goes (SOCK_SEQPACKET)."""


class HandoverError(Exception):
    """The assignment could not be sent or is not what it must be; the text says why."""


class NeverAssigned(HandoverError):
    """The supervisor is gone, or needs no worker any more: a spare process simply ends."""


def assignment_pair() -> tuple[socket.socket, socket.socket]:
    """The supervisor's end and the worker's end. Only the latter is to be inherited, by number."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send_assignment(
    sock: socket.socket, assignment: Assignment, sockets: Sequence[int | socket.socket]
) -> None:
    """Send it and copies of `sockets` (one for each of `assignment.descriptors`). Never blocks.

    Raises HandoverError if it is too big, or the worker's end is closed.
    """
    _send(sock, assignment, _matching(assignment, sockets))


def send_claim(sock: socket.socket, claim: Claim, sockets: Sequence[int | socket.socket]) -> None:
    """Send a claim and copies of what belongs to its assignment. As `send_assignment`."""
    _send(sock, claim, _matching(claim.assignment, sockets))


def send_siblings(sock: socket.socket, tables: Sequence[int]) -> None:
    """Send copies of more tables to a relay that runs. Never blocks; raises HandoverError."""
    _send(sock, Siblings(len(tables)), tables)


def _matching(assignment: Assignment, sockets: Sequence[int | socket.socket]) -> list[int]:
    fds = [entry if isinstance(entry, int) else entry.fileno() for entry in sockets]
    if len(fds) != len(assignment.descriptors):
        raise HandoverError(
            f"{len(fds)} descriptors for {len(assignment.descriptors)} entries of the assignment"
        )
    return fds


def _send(sock: socket.socket, message: Message, fds: Sequence[int]) -> None:
    what = type(message).__name__.lower()
    if len(fds) > MAX_DESCRIPTORS:
        raise HandoverError(f"{len(fds)} descriptors, at most {MAX_DESCRIPTORS} can be passed")
    try:
        data = encode(message)
    except CodecError as error:
        raise HandoverError(str(error)) from error
    if len(data) > MAX_ASSIGNMENT:
        raise HandoverError(f"{what} of {len(data)} bytes, at most {MAX_ASSIGNMENT} fit")
    try:
        sock.sendmsg([data], rights_to(fds), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    except OSError as error:
        raise HandoverError(f"the {what} could not be sent: {error.strerror}") from error


def receive_assignment(
    sock: socket.socket, within: float | None = None
) -> tuple[Assignment, list[int]]:
    """Wait for it: at most `within` seconds, or, as a spare does, for as long as there is a supervisor.

    The descriptors are close-on-exec and the caller's to close. Raises HandoverError, or NeverAssigned if
    the supervisor's end was closed; then no descriptor stays open.
    """
    sock.settimeout(within)
    message, fds = _receive(sock, "assignment", within)
    try:
        return _checked(message, len(fds)), fds
    except BaseException:
        close_all(fds)
        raise


def receive_siblings(sock: socket.socket) -> list[int]:
    """Tables of more relays, from a socket that is readable. As `receive_assignment`; does not wait."""
    sock.settimeout(0.0)
    message, fds = _receive(sock, "siblings", None)
    if isinstance(message, Siblings) and message.tables == len(fds):
        return fds
    close_all(fds)
    raise HandoverError(
        f"expected Siblings, got {len(fds)} descriptors and a {type(message).__name__}"
    )


def receive_claim(sock: socket.socket) -> tuple[Claim, list[int]]:
    """A claim, from a socket that is readable. As `receive_assignment`; does not wait."""
    sock.settimeout(0.0)
    message, fds = _receive(sock, "claim", None)
    try:
        if not isinstance(message, Claim):
            raise HandoverError(f"expected a Claim, got a {type(message).__name__}")
        _checked(message.assignment, len(fds))
    except BaseException:
        close_all(fds)
        raise
    return message, fds


def _receive(sock: socket.socket, what: str, within: float | None) -> tuple[Message, list[int]]:
    try:
        data, ancillary, flags, _ = sock.recvmsg(
            MAX_ASSIGNMENT, room_for(MAX_DESCRIPTORS), socket.MSG_CMSG_CLOEXEC
        )
    except TimeoutError:
        raise HandoverError(f"no {what} within {within or 0:g} s") from None
    except OSError as error:
        raise HandoverError(f"the {what} could not be received: {error.strerror}") from error
    fds = passed(ancillary)
    try:
        if not data:
            raise NeverAssigned(f"the other end went away before it sent the {what}")
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise HandoverError(f"the {what} was cut short (too many bytes, or open files)")
        return decode(data), fds
    except CodecError as error:
        close_all(fds)
        raise HandoverError(f"malformed {what}: {error}") from error
    except BaseException:
        close_all(fds)
        raise


def _checked(message: Message, received: int) -> Assignment:
    if not isinstance(message, Assignment):
        raise HandoverError(f"expected an Assignment, got a {type(message).__name__}")
    if received != len(message.descriptors):
        raise HandoverError(
            f"{received} descriptors came with an assignment that lists {len(message.descriptors)}"
        )
    return message
