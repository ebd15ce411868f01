"""Ends the workers that a supervisor left behind, unless another one comes for them.

systemd runs this (ExecStopPost=) whenever the supervisor is gone. It must not end workers between a crash
and the restart that follows: their calls go on. It must after a stop that took too long, after one in which
the supervisor was killed, and when its exit code says that it is not started again. As a supervisor removes
the configuration in force when it is told to end, that file says whether a restart goes on from here.

A restart waits for this: it imports next to nothing.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from appliance.supervisor.names import IN_FORCE, WORKERS
from appliance.supervisor.problems import EXIT_CONFIG
from ipc import roster

_STEPS: Final = (
    (signal.SIGTERM, 0.2),  # drain
    (signal.SIGTERM, 2.0),  # do not wait for the end of that, but say goodbye
    (signal.SIGKILL, 2.0),
)
"""What is sent, and for how many seconds an end is waited for."""


def is_over(environ: Mapping[str, str], *, in_force: bool) -> bool:
    """Nobody comes for the workers that are left; by what systemd says of the end (systemd.exec(5))."""
    result = environ.get("SERVICE_RESULT", "success")
    for_good = environ.get("EXIT_CODE") == "exited" and environ.get("EXIT_STATUS") == str(
        EXIT_CONFIG
    )
    return result in ("success", "timeout") or for_good or not in_force


def end_workers(directory: Path) -> int:
    """End all workers of that directory; gives how many there were. Raises OSError."""
    pids = set(roster.living(directory).values())
    for number, patience in _STEPS:
        give_up = time.monotonic() + patience
        left = set(roster.living(directory).values())
        pids |= left
        watched = []
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
                watched.append(os.pidfd_open(pid))
        for pidfd in watched:
            select.select([pidfd], [], [], max(0.0, give_up - time.monotonic()))
            os.close(pidfd)
    return len(pids)


def main(environ: Mapping[str, str] = os.environ) -> None:
    """Look, and end."""
    runtime = Path(environ["RUNTIME_DIRECTORY"].split(":")[0])
    workers, in_force = runtime / WORKERS, runtime / IN_FORCE
    if not workers.is_dir() or not is_over(environ, in_force=in_force.exists()):
        return
    if number := end_workers(workers):
        sys.stderr.write(f"ended {number} workers that were left behind\n")


if __name__ == "__main__":
    main()
