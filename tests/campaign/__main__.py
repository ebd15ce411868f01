"""`python -m tests.campaign [--seed N] [--faults N] [--calls N] [--seconds S] [--json]`.

Live calls with data channels on a whole appliance, to which something happens all the time: what, a seed
decides. Prints what happened, and whether anything was broken that must not be (judge.py says what that
is). The exit code is 1 if so; the seed does it again.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import trio

from tests.campaign.judge import Evidence, judge
from tests.campaign.plan import Fault, plan
from tests.campaign.stage import Stage, stage

PACE: Final = 1.25
"""Seconds for each fault, if nothing else is said."""


class Run:
    """One campaign."""

    def __init__(self, seed: int, faults: int, seconds: float, calls: int) -> None:
        self.seed = seed
        self.faults = plan(seed, faults, seconds)
        self.calls = calls
        self.happened: Counter[str] = Counter()

    async def run(self) -> Evidence:
        """From the first call to the last."""
        with tempfile.TemporaryDirectory(prefix="campaign-", ignore_cleanup_errors=True) as name:
            async with stage(Path(name), self.seed, self.calls) as scene:
                before = await scene.held()
                began = trio.current_time()
                for fault in self.faults:
                    await trio.sleep_until(began + fault.at)
                    await self._one(scene, fault, began)
                return await scene.end(before)

    async def _one(self, scene: Stage, fault: Fault, began: float) -> None:
        said = await scene.carry_out(fault)
        self.happened[fault.kind.value] += 1
        at = f"{fault.at:5.1f} s"
        took = trio.current_time() - began - fault.at
        print(f"{fault.number + 1:3} {at} {fault.kind}: {said} ({took:.1f} s)", file=sys.stderr)


def main() -> int:
    """Run one and tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--calls", type=int, default=60)
    parser.add_argument(
        "--seconds", type=float, help=f"for all of them; {PACE} for each if left out"
    )
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    print(f"seed {wanted.seed}", file=sys.stderr)
    run = Run(wanted.seed, wanted.faults, wanted.seconds or PACE * wanted.faults, wanted.calls)
    began = time.monotonic()
    evidence = trio.run(run.run)
    broken = judge(evidence)
    attempts = [attempt for group in evidence.groups for attempt in group.attempts]
    found: dict[str, Any] = {
        "seed": wanted.seed,
        "faults": run.happened.total(),
        "invariants_broken": len(broken),
        "calls": wanted.calls,
        "calls_placed": len(attempts),
        "calls_ended_with_their_transceiver": sum(
            bool(a.error) and a.session in evidence.doomed for a in attempts
        ),
        "calls_refused_meanwhile": sum(not a.connected for a in attempts),
        "messages": sum(a.messages_sent for a in attempts),
        "seconds": round(time.monotonic() - began, 1),
        "broken": broken,
        "happened": dict(run.happened),
    }
    if wanted.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name.replace('_', ' ')}: {value}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
