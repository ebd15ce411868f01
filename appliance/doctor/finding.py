"""One thing that was looked at, how it is, and what to change."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Level(StrEnum):
    """How it is."""

    OK = "ok"
    WARN = "warn"
    """It works, and something will be lost or found out too late."""
    FAIL = "fail"
    """It does not work, or will not."""


class Finding(msgspec.Struct, frozen=True):
    """One line of the report."""

    check: str
    """`kernel.rmem_max`, `ports.udp`: the same from run to run."""
    level: Level
    what: str
    advice: str = ""
    """What to change; empty if nothing."""


class Report(msgspec.Struct, frozen=True):
    """All that was looked at."""

    findings: tuple[Finding, ...]
    running: bool
    """An appliance answered."""

    def count(self, level: Level) -> int:
        """How many are so."""
        return sum(finding.level is level for finding in self.findings)


def ok(check: str, what: str) -> Finding:
    """As it should be."""
    return Finding(check, Level.OK, what)


def warn(check: str, what: str, advice: str = "") -> Finding:
    """Worth a change."""
    return Finding(check, Level.WARN, what, advice)


def fail(check: str, what: str, advice: str = "") -> Finding:
    """Broken."""
    return Finding(check, Level.FAIL, what, advice)
