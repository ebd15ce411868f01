"""The flow table of a relay is full: `python -m bench.overload flows`.

A million real sessions are not to be had here, so their flows are put into the table while its relay is
dead (bench/native/fill.c), which takes it over as after any death: a million flows, all of them alive.
They fall silent together, and the relay is to notice.

    flows_table               flows of the relay when it was full
    flows_taken_over_ms       from the death of its predecessor until it has them
    flows_per_second, _refused_share, _refused_p99_ms, _live_loss, _live_failed, _grown_mb
                              as with the other floods, while it is full; what grows is the table itself
    flows_recovered_ms        from when the flows are silent until a call connects again
    flows_quiet_ms            how long such a call took before
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from bench.appliance import Appliance, launched
from bench.native import program
from bench.overload_stage import largest, one_of_each, posted, recovered, talking
from ipc.messages.stats import RelayStats

FLOWS: Final = 1_000_000
LIVE: Final = 20
CLIENTS: Final = 2
IDLE: Final = 35
"""Seconds: the least that a relay may be told."""
LEFT: Final = 1_000
"""Slots: what the table of a full relay has when it says that it takes no more, and a little less."""
SETTLE: Final = 8.0
"""Seconds until the relay serves again and has said what it has, on a busy machine."""
MARGIN: Final = 1.0
"""Seconds until calls that were silent meanwhile talk again."""
_TABLE: Final = "memfd:tandem-flows"


def measure(seconds: float) -> dict[str, Any]:
    """Full for that long, and then not."""
    sections = one_of_each(relay={"max_flows": FLOWS, "flow_idle": IDLE})
    with launched(sections) as appliance, talking(appliance.url, LIVE, seconds + 60) as calls:
        time.sleep(1.5)  # the relay says what it has once a second
        before, quiet = largest(appliance), recovered(appliance)
        began = time.monotonic()
        _fill(appliance, SETTLE + seconds)
        silent = time.monotonic() + SETTLE + seconds
        table = _wait_full(appliance)
        taken_over = time.monotonic() - began
        print(f"{table} flows, taken over in {taken_over:.2f} s", file=sys.stderr)
        time.sleep(MARGIN)
        full = time.monotonic()
        heard: dict[str, Any] = posted(appliance, CLIENTS, min(seconds, silent - full - MARGIN))
        end = time.monotonic()
        time.sleep(max(0.0, silent - time.monotonic()))
        heard["recovered_ms"] = recovered(appliance)
        heard["grown_mb"] = round((largest(appliance) - before) / 1e6, 1)
        calls.end()
        heard |= calls.live(full, end)
    heard |= {"quiet_ms": quiet, "table": table, "taken_over_ms": round(1000 * taken_over, 1)}
    return {f"flows_{field}": value for field, value in heard.items()}


def _fill(appliance: Appliance, seconds: float) -> None:
    """The relay dies, and its table is full when its successor comes. They fall silent in so long."""
    held = Path(f"/proc/{appliance.pid}/fd")
    (table,) = (fd for fd in held.iterdir() if _TABLE in str(fd.readlink()))
    relay = appliance.worker("relay").pid
    os.kill(appliance.pid, signal.SIGSTOP)  # so that no successor comes before that
    try:
        os.kill(relay, signal.SIGKILL)
        command = [program("fill"), "--file", str(table), "--leave", str(LEFT)]
        command += ["--seconds", str(seconds), "--idle", str(IDLE)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    finally:
        os.kill(appliance.pid, signal.SIGCONT)


def _wait_full(appliance: Appliance) -> int:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for worker in appliance.status().workers:
            if isinstance(worker.stats, RelayStats) and worker.stats.flows > FLOWS // 2:
                return worker.stats.flows
        time.sleep(0.05)
    raise SystemExit("no relay took the table over")
