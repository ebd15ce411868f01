"""What a session costs: `python -m bench.transceiver [--quick] --json`.

A real appliance with one worker of each kind, called by `tandem call`: 50 packets a second and call,
echoed. The transceiver has one CPU to itself; relay and caller share the others. CPU is what the
workers say of themselves in the snapshot that also has their packet counters.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.appliance import Appliance, running
from ipc.messages.stats import RelayStats, TransceiverStats

CONNECT: Final = 1.5
"""Seconds after the last call was placed until the window begins."""
RATE: Final = 50
BURST: Final = 300


class Window(NamedTuple):
    """CPU in microseconds per echoed packet, while all calls talk."""

    transceiver: float
    relay: float
    report: dict[str, Any]


def measure(appliance: Appliance, *, count: int, seconds: float) -> Window:
    """Steady state of so many calls, watched for `seconds`."""
    placing = count / RATE
    caller = appliance.call(count=count, rate=RATE, seconds=placing + CONNECT + seconds + 1.5)
    time.sleep(placing + CONNECT)
    before = snapshot(appliance)
    time.sleep(seconds)
    after = snapshot(appliance)
    report = caller.report()
    transceiver = (after[0].usage.cpu_seconds - before[0].usage.cpu_seconds) / max(
        after[0].audio_out - before[0].audio_out, 1
    )
    relay = (after[1].usage.cpu_seconds - before[1].usage.cpu_seconds) / max(
        after[1].forwarded - before[1].forwarded, 1
    )
    return Window(round(transceiver * 1e6, 2), round(relay * 1e6, 2), report)


def place(pid: int, cpus: set[int]) -> None:
    """Move a process, all its threads, to these CPUs."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), cpus)


def snapshot(appliance: Appliance) -> tuple[TransceiverStats, RelayStats]:
    """The latest counters of both workers."""
    transceiver, relay = appliance.worker("transceiver").stats, appliance.worker("relay").stats
    assert isinstance(transceiver, TransceiverStats)
    assert isinstance(relay, RelayStats)
    return transceiver, relay


def burst(appliance: Appliance, count: int) -> dict[str, Any]:
    """New sessions as fast as they come, and what one costs in all processes, hang-up included."""
    before = appliance.cpu_seconds()
    report = appliance.call(count=count, rate=0, seconds=0.1).report()
    time.sleep(0.5)
    cpu = appliance.cpu_seconds() - before
    return {
        "sessions_per_second": report["sessions_per_second"],
        "setup_cpu_ms": round(cpu / count * 1000, 2),
        "burst_failed": report["sessions_failed"],
    }


def main() -> None:
    """Run, and print one flat object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter windows, under 50 s in all")
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    arguments = parser.parse_args()
    seconds = 6.0 if arguments.quick else 20.0

    def say(what: str) -> None:
        print(what, file=sys.stderr, flush=True)

    *others, own = sorted(os.sched_getaffinity(0))
    with running() as appliance:
        place(appliance.worker("transceiver").pid, {own})
        if others:
            os.sched_setaffinity(0, set(others))  # the callers inherit it
        say("warming up")
        gentle = appliance.call(count=40, rate=20, seconds=1).report()
        say("50 sessions")
        fifty = measure(appliance, count=50, seconds=seconds / 2)
        say("200 sessions")
        full = measure(appliance, count=200, seconds=seconds)
        say("a burst of calls")
        rush = burst(appliance, BURST)
    reports = (gentle, fifty.report, full.report)
    sent = sum(report["packets_sent"] for report in reports)
    lost = sum(report["packets_lost"] for report in reports)
    fields = {
        "tandem_us_per_echo": full.transceiver,
        "tandem_us_per_echo_50": fifty.transceiver,
        "relay_us_per_echo": full.relay,
        "loss": round(lost / max(sent, 1), 6),
        "packets_sent": sent,
        "packets_lost": lost,
        "sessions_failed": sum(report["sessions_failed"] for report in reports),
        **rush,
        "connected_p50_ms": gentle["connected_p50_ms"],
        "rtt_p50_ms": full.report["rtt_p50_ms"],
        "rtt_p99_ms": full.report["rtt_p99_ms"],
        "caller_late_max_ms": full.report["tick_late_max_ms"],
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
    }
    if arguments.json:
        print(json.dumps(fields))
    else:
        for name, value in fields.items():
            print(f"{name:24} {value}")


if __name__ == "__main__":
    main()
