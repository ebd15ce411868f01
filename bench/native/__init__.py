"""The bench's programs in C: built with gcc -O2 into `build/bench` when their sources are newer."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Final

FLAGS: Final = ("-O2", "-Wall", "-Wextra")
_SOURCES: Final = Path(__file__).parent
_DATAPATH: Final = _SOURCES.parent.parent / "workers" / "native"
_BUILT: Final = _SOURCES.parent.parent / "build" / "bench"


def program(name: str) -> str:
    """Path of `load`, `echo`, `forward` and so on, built if need be."""
    built, source = _BUILT / name, _SOURCES / f"{name}.c"
    headers = [_SOURCES / "udp.h", *_DATAPATH.glob("*.h")]
    newest = max(path.stat().st_mtime for path in (source, *headers))
    if not built.exists() or built.stat().st_mtime < newest:
        _BUILT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_BUILT) as directory:
            fresh = Path(directory, name)
            subprocess.run(["gcc", *FLAGS, "-o", fresh, source], check=True)
            fresh.replace(built)  # never half a program, if two benches build at once
    return str(built)
