"""Too much of everything: `python -m bench.overload [--quick] [--json]`.

An appliance whose transceiver takes 150 sessions. Twenty calls talk; then, one after the other,

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
import http.client
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

from bench.appliance import Appliance, Caller, call, free_port, launched
from bench.signaling import OFFER

LIVE: Final = 20
ROOM: Final = 150
CLIENTS: Final = 6
BURST: Final = 400
"""Calls of one caller of the second flood."""
UNCLAIMED: Final = 3.0
"""Seconds that a session which nobody comes for may keep others out, in this bench."""
_SECTIONS: Final = """\
[relay]
listen = ["127.0.0.1:{port}"]
workers = 1
[transceiver]
workers = 1
max_sessions = {room}
connect_timeout = {unclaimed}
"""
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Poster(threading.Thread):
    """Posts offers until told to end, and follows none up."""

    def __init__(self, host: str, end: float) -> None:
        super().__init__()
        self._host, self._end = host, end
        self.answers: list[tuple[int, float]] = []
        """Status and seconds."""

    def run(self) -> None:
        """As fast as there are answers."""
        connection = http.client.HTTPConnection(self._host, timeout=30)
        while time.perf_counter() < self._end:
            began = time.perf_counter()
            try:
                connection.request(
                    "POST", "/v1/realtime/calls", OFFER, {"Content-Type": "application/sdp"}
                )
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                continue
            self.answers.append((response.status, time.perf_counter() - began))
        connection.close()


def figures(answers: list[tuple[int, float]], seconds: float) -> dict[str, float | None]:
    """What a flood's answers say."""
    refused = sorted(took for status, took in answers if status == 503)
    return {
        "per_second": round(len(answers) / seconds, 1),
        "refused_share": round(len(refused) / len(answers), 3) if answers else None,
        "refused_p99_ms": round(1000 * refused[len(refused) * 99 // 100], 1) if refused else None,
    }


def live(report: dict[str, Any]) -> dict[str, float]:
    """What the calls that talked had to bear."""
    return {
        "live_loss": round(report["packets_lost"] / report["packets_sent"], 5),
        "live_failed": report["sessions_failed"],
    }


def largest(appliance: Appliance) -> int:
    """Resident bytes of the largest worker."""
    pids = [worker.pid for worker in appliance.status().workers if worker.pid]
    pages = (Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1] for pid in pids)
    return max(int(each) for each in pages) * _PAGE


def offers(appliance: Appliance, seconds: float) -> dict[str, float | None]:
    """The first flood."""
    host = appliance.status().page.split("/")[2]
    end = time.perf_counter() + seconds
    posters = [Poster(host, end) for _ in range(CLIENTS)]
    for poster in posters:
        poster.start()
    for poster in posters:
        poster.join()
    return figures([answer for poster in posters for answer in poster.answers], seconds)


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


def recovered(appliance: Appliance) -> float:
    """Milliseconds from now until a call connects."""
    began = time.monotonic()
    while time.monotonic() - began < 30:
        if call(appliance.url, count=1, seconds=0.1).report()["sessions_ok"]:
            break
    return round(1000 * (time.monotonic() - began), 1)


def measure(seconds: float) -> dict[str, Any]:
    """Both floods, each on an appliance of its own."""
    found: dict[str, Any] = {}
    for name, flood in (("offers", offers), ("handshakes", handshakes)):
        sections = _SECTIONS.format(port=free_port(), room=ROOM, unclaimed=UNCLAIMED)
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


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="8 seconds each instead of 30")
    parser.add_argument("--json", action="store_true", help="one flat JSON object")
    options = parser.parse_args()
    found = measure(8.0 if options.quick else 30.0)
    if options.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:28} {value}")


if __name__ == "__main__":
    main()
