"""What this process has used so far, as its statistics tell."""

from __future__ import annotations

import resource
import time
from pathlib import Path

from ipc.lost import Losses
from ipc.messages.stats import ProcessUsage


def usage(lost: Losses) -> ProcessUsage:
    """CPU and memory, now, and the messages that came to nothing."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        rss = pages * resource.getpagesize()
    except OSError:  # strangers hold all our descriptors: no reason to end
        rss = used.ru_maxrss * 1024
    return ProcessUsage(
        used.ru_utime + used.ru_stime,
        rss,
        time.monotonic(),
        {why.value: times for why, times in lost.items() if times},
    )
