from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.placement import family
from bench.soak import ROLES, Look, figures, heard, slope, to_come
from tests.support.tree import ROOT


def a_look(at: float, megabytes: float) -> Look:
    return Look(
        at,
        dict.fromkeys(ROLES, int(megabytes * 1e6)),
        dict.fromkeys(ROLES, 20),
        flows=int(at),
        sessions=5,
        created=20,
    )


def test_a_slope_is_by_the_hour() -> None:
    assert slope([(0.0, 1.0), (1800.0, 2.0), (3600.0, 3.0)]) == pytest.approx(2.0)
    assert slope([(0.0, 1.0), (1.0, 9.0)]) == 0.0


def test_growth_at_first_is_no_slope() -> None:
    looks = [a_look(float(at), min(at, 10)) for at in range(40)]
    found = figures(looks)
    assert found["relay_mb"] == 10.0
    assert found["relay_mb_per_hour"] == 0.0
    assert found["transceiver_descriptors"] == 20
    assert (found["flows_max"], found["sessions_max"]) == (39, 5)


def test_growth_that_goes_on_is() -> None:
    looks = [a_look(float(at), 50 + at / 36) for at in range(40)]
    assert figures(looks)["signaling_mb_per_hour"] == pytest.approx(100.0, rel=0.01)


def test_what_the_callers_say_is_added_up() -> None:
    report = {
        "sessions_ok": 9,
        "sessions_failed": 1,
        "packets_sent": 100,
        "packets_lost": 2,
        "messages_lost": 0,
        "jitter_p99_ms": 1.5,
        "rtt_p99_ms": None,
        "tick_late_max_ms": 3.0,
    }
    assert heard([report, report | {"jitter_p99_ms": 2.5}]) == {
        "calls": 20,
        "calls_failed": 2,
        "packets": 200,
        "packets_lost": 4,
        "messages_lost": 0,
        "jitter_p99_ms": 2.5,
        "rtt_p99_ms": 0.0,
        "caller_late_max_ms": 3.0,
    }


def test_who_is_late_is_waited_for() -> None:
    seen = a_look(9.0, 50)
    assert to_come(20, 0, seen) == 5
    assert to_come(30, 0, seen) == 15  # ten have yet to be placed
    assert to_come(30, 4, seen) == 11  # and four of them never will
    assert to_come(18, 0, seen) == 5


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nobody_talks_on_behind_it(number: signal.Signals) -> None:
    bench = subprocess.Popen(
        [sys.executable, "-m", "bench.soak", "--quick"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        callers = wait_for_callers(bench.pid)
        bench.send_signal(number)
        bench.wait(30)
    finally:
        bench.kill()
        bench.wait()
    wait_ended(callers)


def wait_for_callers(bench: int) -> set[int]:
    for _ in range(6000):
        if callers := {pid for pid in family(bench) if is_caller(pid)}:
            return callers
        time.sleep(0.01)
    raise AssertionError("it calls nobody")


def wait_ended(pids: set[int]) -> None:
    for _ in range(1000):
        if not any(map(is_caller, pids)):
            return
        time.sleep(0.01)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    raise AssertionError("they talk on")


def is_caller(pid: int) -> bool:
    """By its command, while it lives."""
    try:
        return b"workers.caller" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
