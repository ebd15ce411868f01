"""More media than a CPU can carry wants in: `python -m bench.overload media`.

Calls to `echo-pcm` speak a voice, which is decoded and encoded: sixty of them take a CPU. Twenty talk; then
so many more come that three times as many would talk as a CPU can carry, while another client goes on
asking. Twice: with `transceiver.max_busy` as it is by default, and without (`media_unbounded_...`), which
says what it is worth.

    media_offered, media_let_in   calls that came, and those that talked
    media_refused_share           of what came, answered 503
    media_refused_p99_ms          how long such an answer took: of one client beside them
    media_busy                    share of the transceiver's thread that media took at most, by its own word
    media_live_loss               of the first calls, from when the others come until they hang up: frames
                                  that got lost on their way there, or did not come back when due
    media_live_failed             first calls that ended
    media_recovered_ms            from when the others hang up until a call connects
    media_quiet_ms                how long such a call took before
    media_grown_mb                memory of the largest worker, after it against before
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import Any, Final

from bench.appliance import Appliance, Caller, launched
from bench.overload_stage import crowd, largest, one_of_each, posted, recovered, talking
from ipc.messages.stats import TransceiverStats

LIVE: Final = 20
CAPACITY: Final = 60
"""Such calls that a CPU can carry (docs/performance.md)."""
TIMES: Final = 3
RATE: Final = 40
"""Calls a second that come."""
START: Final = 2.0
"""Seconds until who calls has a voice."""


def measure(seconds: float) -> dict[str, Any]:
    """Too many for that long, with a bound and without."""
    found = {f"media_{field}": value for field, value in _flooded(seconds).items()}
    unbounded = _flooded(seconds, max_busy=1.0)
    for field in ("let_in", "busy", "live_loss", "live_failed", "recovered_ms"):
        found[f"media_unbounded_{field}"] = unbounded[field]
    return found


def _flooded(seconds: float, **transceiver: float) -> dict[str, Any]:
    with launched(one_of_each(transceiver=transceiver)) as appliance:
        url = appliance.url.replace("/v1/realtime/calls", "/whip/echo-pcm")
        with talking(url, LIVE, seconds + 60, "voice") as calls:
            before, quiet = largest(appliance), recovered(appliance)
            offered = TIMES * CAPACITY - LIVE
            print(f"{offered} calls beside {LIVE} with {transceiver or 'a bound'}", file=sys.stderr)
            begin = time.monotonic()
            others = _talkers(url, offered, offered / RATE + seconds)
            time.sleep(START)
            with Busiest(appliance) as busiest:
                answers = posted(appliance, 1, offered / RATE + seconds)
                report = others.report()
            end = time.monotonic()
            heard: dict[str, Any] = {
                "offered": offered,
                "busy": busiest.share,
                **crowd(appliance, report, answers, before, quiet),
            }
            calls.end()
            return heard | calls.decoded(begin, end)


def _talkers(url: str, count: int, seconds: float) -> Caller:
    words = [url, str(count), str(RATE), str(seconds)]
    command = ["setpriv", "--pdeathsig", "TERM", sys.executable, "-m", "bench.talkers", *words]
    return Caller(subprocess.Popen(command, stdout=subprocess.PIPE))


class Busiest(threading.Thread):
    """Looks at the transceiver until the block ends."""

    def __init__(self, appliance: Appliance) -> None:
        super().__init__()
        self._appliance = appliance
        self._over = threading.Event()
        self.share = 0.0

    def run(self) -> None:
        """Once a second."""
        while not self._over.wait(1.0):
            stats = self._appliance.worker("transceiver").stats
            if isinstance(stats, TransceiverStats):
                self.share = max(self.share, stats.busy)

    def __enter__(self) -> Busiest:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()
