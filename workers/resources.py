"""What of its machine a worker process takes: descriptors and a CPU."""

from __future__ import annotations

import os
import resource
from typing import Final

from ipc import zmq_trio
from ipc.log import Logger

MAX_DESCRIPTORS: Final = 65_536


def allow_descriptors() -> None:
    """As many as we may have; the usual soft limit is less than signaling's connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = max(soft, min(hard, MAX_DESCRIPTORS) if hard > 0 else MAX_DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


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
