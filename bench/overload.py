"""Too much of everything: `python -m bench.overload [MODE] [--quick] [--json]`.

`flows`: the flow table of a relay is full (bench/overload_flows.py). `places`: three times as many want to
talk as there are places (bench/overload_places.py). `media`: three times as many as a CPU can decode and
encode (bench/overload_media.py). Without a mode: an appliance whose transceiver takes 150 sessions. Twenty
calls talk; then, one after the other,

* **offers**: six clients post offers as fast as they are answered and follow none up, so the transceiver is
  soon full of sessions that nobody comes for;
* **handshakes**: calls are placed as fast as they are answered, with valid ufrags, whole handshakes and
  nothing else: what admission lets in, it lets in.

    <flood>_per_second            answers of any kind
    <flood>_refused_share         of them 503
    <flood>_refused_p99_ms        how long such an answer took
    <flood>_live_loss             share of the live calls' packets lost meanwhile
    <flood>_live_failed           live calls that ended
    <flood>_recovered_ms          from the end of the flood until a call connects again
    <flood>_grown_mb              memory of the largest worker, after it against before
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from bench import overload_flows, overload_media, overload_places
from bench.appliance import Appliance, Caller, call, launched
from bench.figures import show
from bench.overload_stage import largest, live, one_of_each, posted, recovered

LIVE: Final = 20
ROOM: Final = 150
CLIENTS: Final = 6
BURST: Final = 400
"""Calls of one caller of the second flood."""
UNCLAIMED: Final = 3.0
"""Seconds that a session which nobody comes for may keep others out, in this bench."""


def offers(appliance: Appliance, seconds: float) -> dict[str, float | None]:
    """The first flood."""
    return posted(appliance, CLIENTS, seconds)


def handshakes(appliance: Appliance, seconds: float) -> dict[str, float | None]:
    """The second flood."""
    end, answers = time.perf_counter() + seconds, 0
    refused = 0
    while time.perf_counter() < end:
        report = call(appliance.url, count=BURST, rate=0, seconds=0.1).report()
        answers += BURST
        refused += sum(e["count"] for e in report["errors"] if "503" in e["error"])
    took = time.perf_counter() - end + seconds
    return {
        "per_second": round(answers / took, 1),
        "refused_share": round(refused / answers, 3),
        "refused_p99_ms": None,
    }


def measure(seconds: float) -> dict[str, Any]:
    """Both floods, each on an appliance of its own."""
    found: dict[str, Any] = {}
    for name, flood in (("offers", offers), ("handshakes", handshakes)):
        sections = one_of_each(transceiver={"max_sessions": ROOM, "connect_timeout": UNCLAIMED})
        with launched(sections) as appliance:
            talking: Caller = appliance.call(count=LIVE, seconds=seconds + 3.0)
            time.sleep(2.0)
            before = largest(appliance)
            print(f"{name} for {seconds:g} s", file=sys.stderr)
            heard: dict[str, Any] = flood(appliance, seconds)
            heard["recovered_ms"] = recovered(appliance)
            heard |= live(talking.report())
            heard["grown_mb"] = round((largest(appliance) - before) / 1e6, 1)
        found |= {f"{name}_{field}": value for field, value in heard.items()}
    return found | {"room": ROOM, "live": LIVE, "load_average": round(os.getloadavg()[0], 2)}


MODES: Final[dict[str, Callable[[float], dict[str, Any]]]] = {
    "flows": overload_flows.measure,
    "places": overload_places.measure,
    "media": overload_media.measure,
}
"""What has an appliance of its own."""


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("mode", nargs="?", choices=[*MODES])
    parser.add_argument(
        "--quick", action="store_true", help="8 seconds each (of a mode: 5) instead of 30"
    )
    parser.add_argument("--json", action="store_true", help="one flat JSON object")
    options = parser.parse_args()
    flood = MODES[options.mode] if options.mode else measure
    found = flood((5.0 if options.mode else 8.0) if options.quick else 30.0)
    show(found, as_json=options.json)


if __name__ == "__main__":
    main()
