"""One short campaign with a seed of the day; `make campaign` runs long ones."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.support.tree import ROOT

pytestmark = pytest.mark.process
FAULTS = 8


def test_nothing_that_must_hold_is_broken(record_property: Callable[[str, object], None]) -> None:
    seed = random.randrange(1 << 32)
    record_property("seed", seed)  # in the summary: tests/conftest.py
    command = [sys.executable, "-m", "tests.campaign", "--seed", str(seed), "--json"]
    done = subprocess.run(
        [*command, "--faults", str(FAULTS), "--calls", "12"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    # It begins with the command that does it again, and has every fault and what was broken.
    told = f"seed {seed}, exit code {done.returncode}\n{done.stderr}"
    print(told)
    assert done.stdout, told
    found = json.loads(done.stdout)
    assert found["broken"] == [], told
    assert found["faults"] + sum("not run" in line for line in done.stderr.splitlines()) == FAULTS
