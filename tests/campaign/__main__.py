"""`python -m tests.campaign [--seed N] [--faults N] [--calls N] [--seconds S] [--json]`.

Live calls with data channels on a whole appliance, to which something happens all the time: what, a seed
decides. Prints what happened, and whether anything was broken that must not be (judge.py says what that
is); the exit code is 1 if so, and the command that it prints does it again. What this machine cannot do
is said.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import trio

from tests.campaign import report, room
from tests.campaign.hands import Hands, lacking
from tests.campaign.judge import Evidence, judge
from tests.campaign.plan import NATURES, Fault, Kind, plan
from tests.campaign.stage import Stage, not_ready, stage
from tests.support.appliance import is_worker

_BEGAN: Final = time.monotonic()
PACE: Final = 1.0
"""Seconds for each fault, if nothing else is said."""
CALM: Final = 4.0
"""Seconds between the last fault and the end of the calls."""
SETTLED: Final = 1.0
"""Seconds in which connections of those who have ended are closed."""
PROBES: Final = 5
FORGOTTEN_WITHIN: Final = 20.0
"""Seconds in which a session ends whose client has hung up."""
PATIENCE: Final = 30.0
"""Seconds a fault may take at most, on average."""


class Run:
    """One campaign."""

    def __init__(self, seed: int, faults: int, seconds: float, calls: int) -> None:
        self.seed = seed
        self.faults = plan(seed, faults, seconds)
        self.calls = calls
        self.happened: Counter[Kind] = Counter()
        self.lacking = lacking()
        self.evidence = Evidence(calls=calls)
        """As far as it has come."""
        self._busy: dict[str, trio.Lock] = {}

    async def run(self) -> None:
        """From the first call to the last."""
        with tempfile.TemporaryDirectory(prefix="campaign-", ignore_cleanup_errors=True) as name:
            async with stage(Path(name), self.seed, self.calls) as scene:
                try:
                    await self._on(scene)
                finally:
                    self._look(log=scene.log.text())

    async def _on(self, scene: Stage) -> None:
        hands = Hands(scene)
        _say("the appliance is ready")
        await scene.place()
        _say(f"{self.calls} calls and those around them are connected")
        async with trio.open_nursery() as looking:
            looking.start_soon(scene.look)
            began = trio.current_time()
            async with trio.open_nursery() as beside:
                for fault in self.faults:
                    await trio.sleep_until(began + fault.at)
                    if why := self.lacking.get(fault.kind):
                        _say(f"{fault}: not run, {why}")
                    elif occupied := NATURES[fault.kind].beside:
                        beside.start_soon(self._beside, occupied, hands, fault, began)
                    else:
                        await self._one(hands, fault, began)
            self._look(complaints=hands.complaints)
            await self._end(scene, hands)
            looking.cancel_scope.cancel()

    async def _beside(self, occupied: str, hands: Hands, fault: Fault, began: float) -> None:
        async with self._busy.setdefault(occupied, trio.Lock()):
            await self._one(hands, fault, began)

    async def _one(self, hands: Hands, fault: Fault, began: float) -> None:
        since = trio.current_time()
        said = await hands.carry_out(fault)
        self.happened[fault.kind] += 1
        now = trio.current_time()
        _say(f"{fault}: {said} ({since - began:.1f} to {now - began:.1f} s)")

    async def _end(self, scene: Stage, hands: Hands) -> None:
        """Wait until all is well, and hang up; what was seen."""
        try:
            status = await scene.until_well()
            scene.watch.look(status)
        except AssertionError as error:
            names = ["the appliance"]
            with suppress(Exception):
                names = not_ready(await scene.status()) or names
            _say(str(error).partition("\n")[0])
            self._look(not_ready=names)
        calm = trio.current_time() + CALM
        probes = await scene.probe(PROBES)
        await trio.sleep_until(calm)
        _say(f"it is over, and {probes} of {PROBES} new calls failed; hanging up")
        groups = await scene.hang_up()
        _say("all have hung up")
        doomed = {
            attempt.session
            for group in groups
            for attempt in group.attempts
            if scene.epoch(attempt.session) in hands.doomed
        }
        left = await _sessions_left(scene)
        with suppress(AssertionError):
            # Who drained has ended now, and in a moment what the supervisor held for him is gone, too.
            await scene.until_alone()
            await trio.sleep(SETTLED)
            scene.watch.look(await scene.until_well())
        watch = scene.watch
        self._look(
            probes_failed=probes,
            groups=groups,
            doomed=doomed,
            before=watch.first,
            after=watch.last,
            names=watch.names,
            closed=watch.closed,
            began=_BEGAN,
            unconserved=watch.unconserved,
            sessions_left=left,
        )
        scene.appliance.process.terminate()
        code = await scene.appliance.wait()
        outlived = [watch.names[pid] for pid in watch.names if is_worker(pid)]
        self._look(exit_code=code, outlived=outlived)
        _say("the appliance has ended")

    def _look(self, **found: Any) -> None:
        self.evidence = self.evidence._replace(**found)


async def _sessions_left(scene: Stage) -> int:
    left = -1
    with trio.move_on_after(FORGOTTEN_WITHIN):
        while left:
            with suppress(Exception):
                left = len((await scene.appliance.sessions()).rows)
            await trio.sleep(0.2)
    return left


def _say(line: str) -> None:
    print(f"{time.monotonic() - _BEGAN:5.1f} s  {line}", file=sys.stderr, flush=True)


def _carried_out(run: Run) -> list[str]:
    """Run it; what was broken."""

    async def bounded() -> None:
        with trio.fail_after(120 + PATIENCE * len(run.faults)):
            await run.run()

    try:
        trio.run(bounded)
    except Exception as error:
        traceback.print_exc()
        return [f"the campaign did not come to its end: {_why(error)}", *judge(run.evidence)]
    return judge(run.evidence)


def _why(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def main() -> int:
    """Run one and tell."""
    room.enter(sys.argv[1:])
    parser = argparse.ArgumentParser(prog="python -m tests.campaign")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--calls", type=int, default=40)
    parser.add_argument(
        "--seconds", type=float, help=f"for all of them; {PACE} for each if left out"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the object there, too")
    parser.add_argument("--page", type=Path, metavar="FILE", help="put the table into that page")
    wanted = parser.parse_args()
    seconds = wanted.seconds or PACE * wanted.faults
    command = report.again(wanted.seed, wanted.faults, seconds, wanted.calls)
    _say(command)
    run = Run(wanted.seed, wanted.faults, seconds, wanted.calls)
    began = time.monotonic()
    broken = _carried_out(run)
    found: dict[str, Any] = {"seed": wanted.seed, "again": command}
    found |= report.fields(run.happened, run.lacking, run.evidence, broken)
    found["seconds"] = round(time.monotonic() - began, 1)
    if broken:
        log = Path(tempfile.gettempdir()) / f"campaign-{wanted.seed}.log"
        log.write_text(run.evidence.log, encoding="utf-8")
        closed = f"transceivers have closed: {dict(run.evidence.closed)}"
        _say(
            "\n".join(
                ["broken:", *broken, closed, f"the appliance's log: {log}", f"again: {command}"]
            )
        )
    if wanted.save:
        wanted.save.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if wanted.page:
        page = wanted.page.read_text(encoding="utf-8")
        wanted.page.write_text(report.put_into(page, found), encoding="utf-8")
    if wanted.json:
        print(json.dumps(found))
    else:
        print(report.table(found))
        for name, value in found.items():
            print(f"{name.replace('_', ' ')}: {value}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
