"""The bench's programs in C: built with gcc -O2 into `build/bench` when their sources are newer."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Final

FLAGS: Final = ("-O2", "-Wall", "-Wextra")
_SOURCES: Final = Path(__file__).parent
_BUILT: Final = _SOURCES.parent.parent / "build" / "bench"


def program(name: str) -> str:
    """Path of `load`, `echo` or `forward`, built if need be."""
    built, source = _BUILT / name, _SOURCES / f"{name}.c"
    newest = max(source.stat().st_mtime, (_SOURCES / "udp.h").stat().st_mtime)
    if not built.exists() or built.stat().st_mtime < newest:
        _BUILT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_BUILT) as directory:
            fresh = Path(directory, name)
            subprocess.run(["gcc", *FLAGS, "-o", fresh, source], check=True)
            fresh.replace(built)  # never half a program, if two benches build at once
    return str(built)
