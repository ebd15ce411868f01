"""What is installed, asked by a supervisor that may run an older version: can that take its place?

`python -m appliance.supervisor.preflight [FILE]` runs the code that is installed now, far enough to know
whether it starts at all and can work with the configuration, and says so as JSON. Nothing is changed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import msgspec
import trio

from appliance.supervisor.configuration import read_file
from appliance.supervisor.process import worker_environment
from config.problems import ConfigError
from ipc.messages.lifecycle import PROTOCOL_VERSION
from ipc.release import release

WITHIN: Final = 30.0
"""Seconds; it takes a few tenths of one."""
_MAX_LINE: Final = 500


class Installed(msgspec.Struct, frozen=True):
    """What is installed, by its own word."""

    release: str = ""
    protocol: int = 0
    problems: tuple[str, ...] = ()
    """Why it cannot run here."""


def examine(file: Path | None) -> Installed:
    """What this code says of itself and of that configuration."""
    try:
        read_file(file)
    except ConfigError as error:
        return Installed(release(), PROTOCOL_VERSION, tuple(map(str, error.problems)))
    return Installed(release(), PROTOCOL_VERSION)


async def installed(file: Path | None, environment: dict[str, str]) -> Installed:
    """What the code that is installed now says; `environment` is ours."""
    command = [sys.executable, "-P", "-m", __name__]
    command += [] if file is None else [str(file)]
    done = None
    try:
        with trio.move_on_after(WITHIN):
            done = await trio.run_process(
                command,
                capture_stdout=True,
                capture_stderr=True,
                check=False,
                env=worker_environment(environment),
                cwd="/",
            )
    except OSError as error:
        return Installed(problems=(f"{sys.executable}: {error.strerror}",))
    if done is None:
        return Installed(problems=(f"it said nothing within {WITHIN:g} s",))
    try:
        return msgspec.json.decode(done.stdout, type=Installed)
    except msgspec.DecodeError:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        return Installed(problems=(f"it does not start: {last[:_MAX_LINE]}",))


if __name__ == "__main__":
    given = Path(sys.argv[1]) if sys.argv[1:] else None
    sys.stdout.buffer.write(msgspec.json.encode(examine(given)))
