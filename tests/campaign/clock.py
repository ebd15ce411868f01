"""A clock that steps, for the processes of one appliance: libfaketime, and a Python that brings it along.

The supervisor starts its workers by the path of its own interpreter, and with few variables of its
environment. So that path is a script that puts the library in front and becomes the real interpreter. Only
the wall clock steps; CLOCK_MONOTONIC stays what it is.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Final

STEPS: Final = (-86_400, -3_600, -45, -2, 2, 45, 3_600, 86_400, 40 * 86_400, -40 * 86_400)
"""Seconds."""
_PLACES: Final = ("/usr/lib", "/usr/lib64", "/usr/local/lib")


@cache
def library() -> Path | None:
    """Where it is, for programs with threads; None if there is none under which a process can sleep."""
    for place in _PLACES:
        for found in Path(place).glob("**/faketime/libfaketimeMT.so.1"):
            return found if _sleeps(found) else None
    return None


def _sleeps(preload: Path) -> bool:
    """Version 0.9.10 answers EINVAL to some short sleeps on the monotonic clock, which no kernel does."""
    code = "import time\nfor n in range(4000): time.sleep(n % 40 * 1e-6)"
    variables = {"LD_PRELOAD": str(preload), "FAKETIME": "+0", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, check=False)
    return not done.returncode


class SteppingClock:
    """Starts right."""

    def __init__(self, directory: Path, preload: Path) -> None:
        """`directory`: where the interpreter is made."""
        self._file = directory / "offset"
        self._offset = 0
        self._write()
        (directory / "bin").mkdir()
        (directory / "lib").symlink_to(Path(sys.prefix) / "lib")
        home = Path(sys.prefix) / "pyvenv.cfg"
        settings = home.read_text() if home.exists() else f"home = {Path(sys.executable).parent}\n"
        (directory / "pyvenv.cfg").write_text(settings)
        self.python = directory / "bin" / "python"
        variables = {
            "LD_PRELOAD": preload,
            "FAKETIME_TIMESTAMP_FILE": self._file,
            "FAKETIME_CACHE_DURATION": 1,
            "FAKETIME_DONT_FAKE_MONOTONIC": 1,
            "FAKETIME_DISABLE_SHM": 1,
        }
        lines = [f"export {name}={shlex.quote(str(value))}" for name, value in variables.items()]
        real = shlex.quote(str(Path(sys.executable).resolve()))
        lines.append(f'exec -a "$0" {real} "$@"')
        self.python.write_text("\n".join(["#!/bin/bash", *lines, ""]))
        self.python.chmod(0o700)

    def step(self, choice: float) -> str:
        """By one of STEPS; says what time it is."""
        step = STEPS[int(choice * len(STEPS))]
        self._offset += step
        self._write()
        return f"by {step:+} s, now {self._offset:+} s"

    def _write(self) -> None:
        draft = self._file.with_suffix(".new")
        draft.write_text(f"{self._offset:+}\n")
        draft.replace(self._file)
