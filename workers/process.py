"""Any worker process from its assignment to its exit code; between the two it is a `Worker`.

A role's `__main__` is two lines, `main(Role.RELAY, serve)`; everything that is not the role's own work
is here and in worker.py.

Exit codes: 0 it drained or was stopped, 70 a bug (the traceback is in the log) or nobody wants it,
78 the configuration is wrong.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Final, NoReturn

import trio

from config.ids import Role
from config.model import Config
from config.passed import parse_passed
from ipc import roster, zmq_trio
from ipc.bus import Publisher
from ipc.control import ControlClient, identity
from ipc.descriptors import allow_descriptors
from ipc.handover import HandoverError, NeverAssigned, receive_assignment
from ipc.log import Logger, open_log
from ipc.messages.lifecycle import PROTOCOL_VERSION, Assignment, Farewell
from ipc.release import release
from ipc.zmq_trio import EndpointError
from workers.resources import pin
from workers.worker import Life, Serve, Unwanted, Worker

EXIT_DONE: Final = 0
EXIT_USAGE: Final = 2
EXIT_BUG: Final = 70
EXIT_CONFIG: Final = 78

FAREWELL_LINGER: Final = 0.3
"""Seconds that the last messages may take to leave."""
_MAX_WHY: Final = 2000


def main(role: Role, serve: Serve) -> NoReturn:
    """Be a worker of that role until done; ends the process with the exit code."""
    faulthandler.enable()
    # The terminal's Ctrl-C reaches the whole process group; the supervisor decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    match sys.argv[1:]:
        case ["--assignment-fd", number] if number.isascii() and number.isdecimal():
            fd = int(number)
        case _:
            sys.stderr.write(
                f"workers.{role.label} is started by the supervisor only: tandem run\n"
            )
            sys.exit(EXIT_USAGE)
    try:
        sock = socket.socket(fileno=fd)
        # What is imported by now stays for ever: the collector need not look at it again. It takes
        # 20 ms, and a spare has the time.
        release()  # which is what has been imported: what is installed later is another's
        gc.collect()
        gc.freeze()
        gc.enable()
        # Who only sends an assignment does not stay to hear this.
        with contextlib.suppress(OSError):
            sock.send(b"\0", socket.MSG_NOSIGNAL)
        assignment, fds = receive_assignment(sock)
        if assignment.version != PROTOCOL_VERSION:
            raise HandoverError(
                f"the supervisor speaks version {assignment.version}, this worker {PROTOCOL_VERSION}"
            )
        if assignment.role is not role:
            raise HandoverError(f"this is a {role.label}, not a {assignment.role.label}")
    except NeverAssigned:
        sys.exit(EXIT_DONE)
    except (HandoverError, OSError) as error:
        print(f"{role.label}: {error}", file=sys.stderr)  # noqa: T201 - there is no log yet
        sys.exit(EXIT_BUG)
    try:
        config = parse_passed(assignment.config)
    except ValueError as error:
        print(f"{assignment.name}: configuration: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(EXIT_CONFIG)
    sys.exit(_live(assignment, config, fds, sock, serve))


def _live(
    assignment: Assignment, config: Config, fds: list[int], channel: socket.socket, serve: Serve
) -> int:
    log = open_log(config.log, assignment.name)
    pin(assignment.cpu, log)
    allow_descriptors()
    try:
        roster.enter(Path(assignment.runtime_directory), assignment.generation)
    except roster.NotEntered as error:
        log.error("not on the roster", why=str(error))
        return EXIT_BUG
    who = identity(assignment.name, assignment.generation, os.getpid())
    try:
        control = ControlClient(assignment.control, who)
        bus = Publisher(assignment.bus, lost=control.lost)
    except EndpointError as error:
        log.error("no way to the supervisor", why=str(error))
        return EXIT_BUG
    code, why = EXIT_DONE, "done"
    try:
        trio.run(_run, assignment, config, log, fds, channel, control, bus, serve)
    except* Unwanted as group:
        code, why = EXIT_BUG, str(_first(group))
        log.error("unwanted", why=why)
    except* EndpointError as group:  # the disk is full: the next one tries again
        code, why = EXIT_BUG, str(_first(group))
        log.error("no socket to be asked at", why=why)
    except* Exception as group:  # whatever it is, the log and the supervisor learn it
        first = _first(group)
        code, why = EXIT_BUG, f"{type(first).__name__}: {first}"
        log.exception("worker failed", why=why)
    log.info("farewell", why=why, code=code)
    control.send_nowait(Farewell(why=why[:_MAX_WHY]))
    zmq_trio.shut_down(FAREWELL_LINGER)
    return code


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _run(
    assignment: Assignment,
    config: Config,
    log: Logger,
    fds: list[int],
    channel: socket.socket,
    control: ControlClient,
    bus: Publisher,
    serve: Serve,
) -> None:
    worker = Worker(assignment, config, log, fds, control, bus, channel)
    await Life(worker).run(serve)
