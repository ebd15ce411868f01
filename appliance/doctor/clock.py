"""The clocks: timers run by the monotonic one, tokens and logs by the other."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Final

from appliance.doctor.finding import Finding, fail, ok, warn
from appliance.doctor.host import Host

LOOK: Final = 0.2
"""Seconds for which both clocks are watched."""
APART: Final = 0.05
"""Seconds that they may differ by then: a step, or a machine that stood still."""
_WITHIN: Final = 2.0
_BUILT: Final = 1_735_689_600
"""2025-01-01: no clock is right that shows less."""


def check(_host: Host) -> Iterator[Finding]:
    """Both clocks, and who sets them."""
    wall, steady = time.time(), time.monotonic()
    time.sleep(LOOK)
    yield judge(time.time() - wall, time.monotonic() - steady, time.time())
    yield _synchronised()


def judge(wall: float, steady: float, now: float) -> Finding:
    """Of seconds that passed by both clocks, and what the one on the wall shows."""
    if now < _BUILT:
        return fail(
            "clock.wall", f"it shows {time.strftime('%Y-%m-%d', time.gmtime(now))}", "set it: NTP"
        )
    if steady <= 0:
        return fail("clock.monotonic", "the monotonic clock stands still", "another clocksource")
    if abs(wall - steady) > APART:
        what = f"in {steady:.2f} s by the monotonic clock the wall clock went {wall:.2f} s"
        return warn("clock.steady", what, "let NTP slew it instead of stepping it")
    return ok("clock.steady", "both clocks agree")


def _synchronised() -> Finding:
    timedatectl = shutil.which("timedatectl")
    unknown = ok("clock.ntp", "not looked at: no timedatectl answers here")
    if timedatectl is None:
        return unknown
    try:
        said = subprocess.run(
            [timedatectl, "show", "--property=NTPSynchronized", "--value"],
            capture_output=True,
            text=True,
            timeout=_WITHIN,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return unknown
    match said.stdout.strip():
        case "yes":
            return ok("clock.ntp", "synchronised by NTP")
        case "no":
            what = "not synchronised: tokens expire at other times than their makers think"
            return warn("clock.ntp", what, "timedatectl set-ntp true")
        case _:
            return unknown
