"""Looks at the appliance all the time: what its processes hold, and whether counters add up."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Final

from ipc.messages.admin import StatusReply
from ipc.messages.stats import RelayStats, TransceiverStats
from tests.campaign.judge import Process

EVERY: Final = 1.0
WARM: Final = 3
"""Looks before a process has touched what it needs."""


class Watch:
    """What has been seen."""

    def __init__(self) -> None:
        self.first: dict[int, Process] = {}
        """By pid, from when it was warm."""
        self.last: dict[int, Process] = {}
        self.names: dict[int, str] = {}
        self.unconserved: set[str] = set()
        """Relays whose counters did not add up."""
        self._looks: dict[int, int] = {}
        self._closed: dict[int, dict[str, int]] = {}

    @property
    def closed(self) -> dict[str, int]:
        """Sessions that transceivers have closed, by reason."""
        total: Counter[str] = Counter()
        for of_one in self._closed.values():
            total.update(of_one)
        return dict(total)

    def look(self, status: StatusReply) -> None:
        """Once more."""
        serving = {w.pid: w.name for w in status.workers if w.pid and w.state == "ready"}
        holders = {status.pid: "supervisor"} | serving
        for pid, name in holders.items():
            held = _held(pid)
            if held is None:
                continue
            self.names[pid] = name
            self.last[pid] = held
            self._looks[pid] = self._looks.get(pid, 0) + 1
            if self._looks[pid] == WARM:
                self.first[pid] = held
        for worker in status.workers:
            if isinstance(worker.stats, TransceiverStats):
                self._closed[worker.generation] = worker.stats.closed
        self.unconserved |= {
            worker.name
            for worker in status.workers
            if isinstance(worker.stats, RelayStats) and not worker.stats.conserved
        }


def _held(pid: int) -> Process | None:
    try:
        descriptors = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return Process(descriptors, pages * os.sysconf("SC_PAGE_SIZE"))
