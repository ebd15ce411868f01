"""Three times as many want to talk as there are places: `python -m bench.overload places`.

A transceiver takes as many calls as the configuration says. When it has a third of them, whose media are
looked at, calls come until three times as many would talk, and go on coming; none that was let in ends.

    places_offered, places_let_in    calls that came, and those that talked
    places_refused_share             of what came, answered 503
    places_refused_p99_ms            how long such an answer took: of one client beside them
    places_live_loss, _live_failed   of the calls that were there first
    places_let_in_loss               of those that were let in
    places_recovered_ms              from when they hang up until a call connects
    places_quiet_ms                  how long such a call took before
    places_grown_mb                  memory of the largest worker, after it against before
"""

from __future__ import annotations

import sys
import time
from typing import Any, Final

from bench.appliance import Appliance, launched
from bench.overload_stage import crowd, largest, one_of_each, posted, recovered, talking

LIVE: Final = 20
ROOM: Final = 60
TIMES: Final = 3
RATE: Final = 40
"""Calls a second that come."""


def measure(seconds: float) -> dict[str, Any]:
    """Too many for that long."""
    sections = one_of_each(transceiver={"max_sessions": ROOM})
    with launched(sections) as appliance, talking(appliance.url, LIVE, seconds + 60) as calls:
        before, quiet = largest(appliance), recovered(appliance)
        offered = TIMES * ROOM - LIVE
        print(f"{offered} calls beside {LIVE}, with room for {ROOM}", file=sys.stderr)
        begin = time.monotonic()
        others = appliance.call(count=offered, rate=RATE, seconds=seconds)
        _wait_full(appliance)
        answers = posted(appliance, 1, seconds)
        report = others.report()
        end = time.monotonic()
        heard: dict[str, Any] = {
            "offered": offered,
            "let_in_loss": round(report["packets_lost"] / max(1, report["packets_sent"]), 5),
            **crowd(appliance, report, answers, before, quiet),
        }
        calls.end()
        heard |= calls.live(begin, end)
    return {f"places_{field}": value for field, value in heard.items()}


def _wait_full(appliance: Appliance) -> None:
    deadline = time.monotonic() + 20
    while appliance.worker("transceiver").sessions < ROOM:
        if time.monotonic() > deadline:
            raise SystemExit("the calls did not come")
        time.sleep(0.05)
