"""A clock that steps, for the processes of one appliance: clock.c, and a Python that brings it along.

The supervisor starts its workers by the path of its own interpreter, and with few variables of its
environment. So that path is a script that puts clock.c in front and becomes the real interpreter.
"""

from __future__ import annotations

import os
import shlex
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Final

STEPS: Final = (-86_400, -3_600, -45, -2, 2, 45, 3_600, 86_400, 40 * 86_400, -40 * 86_400)
"""Seconds."""
_SOURCE: Final = Path(__file__).with_name("clock.c")


def compiler() -> str | None:
    """What clock.c is made with, if there is any."""
    return shutil.which("cc")


class SteppingClock:
    """Starts right."""

    def __init__(self, directory: Path, compiler: str) -> None:
        """`directory`: where clock and interpreter are made."""
        self._offset = 0
        preload, offset = directory / "clock.so", directory / "offset"
        command = [compiler, "-O1", "-shared", "-fPIC", "-o", str(preload), str(_SOURCE)]
        subprocess.run(command, check=True)
        offset.write_bytes(bytes(8))
        self._file = os.open(offset, os.O_WRONLY | os.O_CLOEXEC)
        (directory / "bin").mkdir()
        (directory / "lib").symlink_to(Path(sys.prefix) / "lib")
        home = Path(sys.prefix) / "pyvenv.cfg"
        settings = home.read_text() if home.exists() else f"home = {Path(sys.executable).parent}\n"
        (directory / "pyvenv.cfg").write_text(settings)
        self.python = directory / "bin" / "python"
        variables = {"LD_PRELOAD": preload, "STEPPED_CLOCK": offset}
        lines = [f"export {name}={shlex.quote(str(value))}" for name, value in variables.items()]
        real = shlex.quote(str(Path(sys.executable).resolve()))
        lines.append(f'exec -a "$0" {real} "$@"')
        self.python.write_text("\n".join(["#!/bin/bash", *lines, ""]))
        self.python.chmod(0o700)

    def step(self, choice: float) -> str:
        """By one of STEPS; says what time it is."""
        step = STEPS[int(choice * len(STEPS))]
        self._offset += step
        os.pwrite(self._file, struct.pack("=q", self._offset), 0)
        return f"by {step:+} s, now {self._offset:+} s"

    def close(self) -> None:
        """It stands still from now on."""
        os.close(self._file)
