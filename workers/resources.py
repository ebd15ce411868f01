"""What of its machine a worker process takes: a CPU."""

from __future__ import annotations

import os

from ipc import zmq_trio
from ipc.log import Logger


def pin(cpu: int | None, log: Logger) -> None:
    """This thread to its CPU, ZeroMQ's threads to the others."""
    if cpu is None:
        return
    allowed = os.sched_getaffinity(0)
    if cpu not in allowed:
        log.warning("not pinned", cpu=cpu, allowed=sorted(allowed))
        return
    zmq_trio.pin_io_thread(allowed - {cpu})
    os.sched_setaffinity(0, {cpu})
