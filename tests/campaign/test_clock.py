"""Processes of the clock that steps see another date at once, and sleep as long as ever."""

from __future__ import annotations

import subprocess
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from tests.campaign.clock import STEPS, SteppingClock, compiler

LOOK = """
import datetime, sys, time
def look():
    for n in range(200):
        time.sleep(n % 40 * 1e-6)
    print(time.time(), time.monotonic(), datetime.datetime.now(datetime.UTC).isoformat(), flush=True)
look()
sys.stdin.readline()
look()
"""


def test_a_step_is_seen_at_once(tmp_path: Path) -> None:
    found = compiler()
    assert found
    with closing(SteppingClock(tmp_path, found)) as clock:
        command = [str(clock.python), "-c", LOOK]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            before = process.stdout.readline().split()
            choice = STEPS.index(40 * 86_400) / len(STEPS)
            assert clock.step(choice + 0.01) == "by +3456000 s, now +3456000 s"
            process.stdin.write("\n")
            process.stdin.flush()
            after = process.stdout.readline().split()
    assert abs(float(before[0]) - time.time()) < 600
    assert abs(float(after[0]) - time.time() - 3_456_000) < 600
    assert 0 <= float(after[1]) - float(before[1]) < 600
    assert (datetime.fromisoformat(after[2]) - datetime.now(UTC)).days in {39, 40}
