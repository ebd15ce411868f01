"""One short campaign with a seed of the day; `make campaign` runs long ones."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import pytest

from tests.support.tree import ROOT

pytestmark = pytest.mark.process


def test_nothing_that_must_hold_is_broken() -> None:
    seed = random.randrange(1 << 32)
    command = [sys.executable, "-m", "tests.campaign", "--seed", str(seed), "--json"]
    done = subprocess.run(
        [*command, "--faults", "8", "--calls", "12"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    print(done.stderr)  # with the seed, for whoever has to do it again
    found = json.loads(done.stdout)
    assert found["broken"] == [], f"seed {seed}\n{done.stderr}"
    assert (found["faults"], done.returncode) == (8, 0)
