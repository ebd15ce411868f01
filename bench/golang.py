"""Builds a program in Go against the libraries that Debian packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

_CACHE: Final = Path(__file__).parent.parent / "build" / "go"


def build(sources: Path, binary: Path) -> None:
    """In GOPATH mode, where those libraries are; the copy is because sources must be in it."""
    if binary.exists() and binary.stat().st_mtime > (sources / "main.go").stat().st_mtime:
        return
    print(f"building {binary.name}", file=sys.stderr, flush=True)
    package = _CACHE / "src" / binary.name
    shutil.rmtree(package, ignore_errors=True)
    shutil.copytree(sources, package)
    settings = {
        "GO111MODULE": "off",
        "GOFLAGS": "",
        "GOPATH": f"{_CACHE}:/usr/share/gocode",
        "GOCACHE": str(_CACHE / "cache"),
    }
    command = ["go", "build", "-o", str(binary), "."]
    subprocess.run(command, cwd=package, env={**os.environ, **settings}, check=True)
