"""What the checks look at: /proc and /sys, the configuration, and the appliance if it answers."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from config.model import Config
from ipc.messages.admin import StatusReply


class Host(NamedTuple):
    """One host. `proc` and `sys` are elsewhere in tests."""

    config: Config
    file: Path | None
    runtime: Path
    state: Path
    status: StatusReply | None = None
    """None if no appliance answers."""
    proc: Path = Path("/proc")
    sys: Path = Path("/sys")

    def number(self, name: str) -> int | None:
        """A sysctl; None if it is not there or no number."""
        try:
            return int(self.proc.joinpath("sys", *name.split(".")).read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None
