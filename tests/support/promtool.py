"""Prometheus's own opinion of what is written for it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.support.tree import ROOT


def promtool(*arguments: str | Path, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run it; its exit code and what it says are the caller's to judge."""
    tool = ROOT / "build/promtool"
    found = str(tool) if tool.exists() else shutil.which("promtool")
    if found is None:
        raise AssertionError(f"{tool} is missing: run `make test`, which fetches it")
    return subprocess.run(
        [found, *arguments], input=given, capture_output=True, text=True, check=False, timeout=60
    )
