"""A worker's birth: its Assignment and its sockets, over the socket pair it was exec'd with.

One SOCK_SEQPACKET message carries the encoded Assignment and, as SCM_RIGHTS, one descriptor for each of
its `descriptors`, in that order. Nothing of it appears in argv or in the environment.
"""

from __future__ import annotations

import array
import os
import socket
from collections.abc import Sequence
from typing import Final

from ipc.codec import CodecError, decode, encode
from ipc.messages.lifecycle import Assignment

MAX_ASSIGNMENT: Final = 1 << 17
"""Bytes of one encoded assignment; fits into the default socket buffer of a socket pair."""
MAX_DESCRIPTORS: Final = 250
"""Sockets of one worker; the kernel passes at most 253 with one message."""
_INT: Final = array.array("i").itemsize


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
    fds = [entry if isinstance(entry, int) else entry.fileno() for entry in sockets]
    if len(fds) != len(assignment.descriptors):
        raise HandoverError(
            f"{len(fds)} descriptors for {len(assignment.descriptors)} entries of the assignment"
        )
    if len(fds) > MAX_DESCRIPTORS:
        raise HandoverError(f"{len(fds)} descriptors, at most {MAX_DESCRIPTORS} can be passed")
    try:
        data = encode(assignment)
    except CodecError as error:
        raise HandoverError(str(error)) from error
    if len(data) > MAX_ASSIGNMENT:
        raise HandoverError(f"assignment of {len(data)} bytes, at most {MAX_ASSIGNMENT} fit")
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    try:
        sock.sendmsg([data], rights, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    except OSError as error:
        raise HandoverError(f"the assignment could not be sent: {error.strerror}") from error


def receive_assignment(
    sock: socket.socket, within: float | None = None
) -> tuple[Assignment, list[int]]:
    """Wait for it: at most `within` seconds, or, as a spare does, for as long as there is a supervisor.

    The descriptors are close-on-exec and the caller's to close. Raises HandoverError, or NeverAssigned if
    the supervisor's end was closed; then no descriptor stays open.
    """
    sock.settimeout(within)
    try:
        data, ancillary, flags, _ = sock.recvmsg(
            MAX_ASSIGNMENT, socket.CMSG_SPACE(MAX_DESCRIPTORS * _INT), socket.MSG_CMSG_CLOEXEC
        )
    except TimeoutError:
        raise HandoverError(f"no assignment within {within:g} s") from None
    except OSError as error:
        raise HandoverError(f"the assignment could not be received: {error.strerror}") from error
    fds = _descriptors(ancillary)
    try:
        return _checked(data, flags, len(fds)), fds
    except BaseException:
        for fd in fds:
            os.close(fd)
        raise


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % _INT])
    return fds.tolist()


def _checked(data: bytes, flags: int, received: int) -> Assignment:
    if not data:
        raise NeverAssigned("the supervisor went away before it sent the assignment")
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        raise HandoverError("the assignment was cut short (too many bytes, or open files)")
    try:
        message = decode(data)
    except CodecError as error:
        raise HandoverError(f"malformed assignment: {error}") from error
    if not isinstance(message, Assignment):
        raise HandoverError(f"expected an Assignment, got a {type(message).__name__}")
    if received != len(message.descriptors):
        raise HandoverError(
            f"{received} descriptors came with an assignment that lists {len(message.descriptors)}"
        )
    return message
