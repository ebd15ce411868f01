"""What of its machine a worker process takes: descriptors, a CPU, and what it has used so far."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Final

from ipc import zmq_trio
from ipc.log import Logger
from ipc.messages.stats import ProcessUsage

MAX_DESCRIPTORS: Final = 65_536


def usage() -> ProcessUsage:
    """CPU and memory of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        rss = pages * resource.getpagesize()
    except OSError:  # strangers hold all our descriptors: no reason to end
        rss = used.ru_maxrss * 1024
    return ProcessUsage(cpu_seconds=used.ru_utime + used.ru_stime, rss_bytes=rss)


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
