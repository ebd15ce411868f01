"""What this process has used so far, as its statistics tell."""

from __future__ import annotations

import resource
import time
from pathlib import Path

from ipc.messages.stats import ProcessUsage


def usage() -> ProcessUsage:
    """CPU and memory, now."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        rss = pages * resource.getpagesize()
    except OSError:  # strangers hold all our descriptors: no reason to end
        rss = used.ru_maxrss * 1024
    return ProcessUsage(used.ru_utime + used.ru_stime, rss, time.monotonic())
