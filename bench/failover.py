"""`python -m bench.failover`: how long calls are silent when the host of their relay dies.

Two hosts in network namespaces, one address between them (bench/failover_net.py). Sessions are on host 2,
their clients come by the relay of host 1. Host 1 is killed, all of it, and host 2 gets the address, from
which moment on silence counts. Most clients are flows, which are to a relay what a call is
(bench/native/flows.c), with an echo behind it; beside them are real calls to a real transceiver. Both check
consent every 2.5 s, as Chromium does; some more flows every 4 to 6 s, as RFC 7675 asks for, counted apart.

    cache_gap_p50_ms, cache_gap_p99_ms   with the flow cache: longest silence of a flow or call, over all
    cache_sessions_lost                  that heard nothing any more
    no_cache_gap_p99_ms                  hosts that know each other without Redis: by the next check
    redis_down_gap_p99_ms                Redis is killed first: as without
    ..._rfc7675_gap_p99_ms               the same of those that check every 4 to 6 s
    ..._calls_gap_p99_ms                 the same of the real calls alone
    chromium_..._gap_ms                  with --chromium: the silence of one Chromium's call
    redis_commands_per_session           what Redis counted for the flows and calls, heartbeats not included

20 ms would be no gap of a call, 50 ms none of a flow.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from bench.failover_figures import gap, lost, percentile
from bench.failover_net import REDIS, possible
from bench.failover_stage import Stage, stage
from bench.native import program

BROWSER: Final = (2.5, 2.5)
RFC: Final = (4.0, 6.0)
"""Seconds between two checks of consent: least and most."""
SLOW: Final = 100
"""Flows with checks as in RFC 7675."""
PPS: Final = 20.0
"""Datagrams a second and flow: a call has 50, which would be half the CPU of the machine for a thousand."""
TALK: Final = 1.4
"""Seconds that are watched beyond the last check: talk by which one is not lost."""


def measure(
    flows: int, calls: int, log: Callable[[str], None], *, chromium: bool
) -> dict[str, Any]:
    """The whole bench."""
    count = (flows, calls)
    browser = _chromium(log) if chromium else {}
    cache = _scenario("cache", *count, cache=True, redis=True, log=log)
    none = _scenario("no_cache", *count, cache=False, redis=False, log=log)
    down = _scenario("redis_down", *count, cache=True, redis=True, kill_redis=True, log=log)
    return {**cache, **none, **down, **browser, "flows": flows, "calls": calls}


def _chromium(log: Callable[[str], None]) -> dict[str, float]:
    """One browser by itself: on two CPUs it is not to be among a thousand."""
    from bench.failover_browser import browser_call  # playwright comes with tests, not with benches

    found = {}
    for name, cache in (("cache", True), ("no_cache", False)):
        with stage(cache=cache, redis=cache) as scene, browser_call(scene) as arrivals:
            if cache:
                scene.until("a written flow", lambda scene=scene: _written(scene))
            since = scene.fail_over()
            time.sleep(BROWSER[1] + TALK)
            until = time.monotonic() - 0.1
            silence = gap(arrivals(), since, until)
        found[f"chromium_{name}_gap_ms"] = round(1000 * silence, 1)
        log(str(found))
    return found


def _scenario(
    name: str,
    flows: int,
    calls: int,
    *,
    cache: bool,
    redis: bool,
    kill_redis: bool = False,
    log: Callable[[str], None],
) -> dict[str, Any]:
    with stage(cache=cache, redis=redis, echo=True) as scene:
        before = _flow_commands(scene)
        crowd = scene.flows([BROWSER] * flows + [RFC] * SLOW, PPS)
        real = scene.calls(calls, 120.0) if calls else None
        everybody = flows + SLOW + calls
        if cache:
            scene.until("written flows", lambda: _written(scene) >= everybody)
        if kill_redis:
            scene.redis.kill()
            scene.redis.wait()
            time.sleep(1.0)
        time.sleep(0.5)
        since = scene.fail_over()
        time.sleep((BROWSER if cache and not kill_redis else RFC)[1] + TALK)
        until = time.monotonic() - 0.1
        log(f"{name}: {scene.second.relay()}")
        came = _heard(crowd)
        talked = _heard(real) if real else []
        spent = 0.0 if kill_redis else (_flow_commands(scene) - before) / everybody

    def gaps(arrivals: list[list[float]]) -> list[float]:
        return [1000 * gap(times, since, until) for times in arrivals]

    usual = gaps(came[:flows] + talked)
    found = {
        f"{name}_gap_p50_ms": round(percentile(usual, 0.5), 1),
        f"{name}_gap_p99_ms": round(percentile(usual, 0.99), 1),
        f"{name}_rfc7675_gap_p99_ms": round(percentile(gaps(came[flows:]), 0.99), 1),
        f"{name}_sessions_lost": lost(came + talked, until) + everybody - len(came + talked),
    }
    if talked:
        found[f"{name}_calls_gap_p99_ms"] = round(percentile(gaps(talked), 0.99), 1)
    if name == "cache":
        found["redis_commands_per_session"] = round(spent, 2)
    log(str(found))
    return found


def _written(scene: Stage) -> int:
    fleet = scene.first.fleet()
    return 0 if fleet is None else fleet.cache.get("written", 0)


def _heard(clients: subprocess.Popen[str]) -> list[list[float]]:
    """End them; when media came to each."""
    clients.send_signal(signal.SIGINT)
    output, _ = clients.communicate(timeout=60)
    found: list[list[float]] = json.loads(output)["arrivals"]
    return found


def _flow_commands(scene: Stage) -> int:
    """Commands that only flows need: SET, DEL, MGET."""
    ask = ["redis-cli", "-h", REDIS, "info", "commandstats"]
    done = subprocess.run(
        scene.net.command("clients", ask), check=False, capture_output=True, text=True
    )
    names = ("cmdstat_set:", "cmdstat_del:", "cmdstat_mget:")
    lines = [line for line in done.stdout.splitlines() if line.startswith(names)]
    return sum(int(line.partition("calls=")[2].partition(",")[0]) for line in lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What calls lose when a relay's host dies.")
    parser.add_argument("--quick", action="store_true", help="few real calls, within 50 seconds")
    parser.add_argument("--flows", type=int, default=1000, help="live flows")
    parser.add_argument("--calls", type=int, help="real calls beside them (40; 5 with --quick)")
    parser.add_argument("--chromium", action="store_true", help="a browser's call, too")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if not possible():
        raise SystemExit("bench.failover needs root and iproute2: it makes network namespaces")

    def log(line: str) -> None:
        if not options.json:
            print(line, file=sys.stderr)

    calls = (5 if options.quick else 40) if options.calls is None else options.calls
    program("flows")
    found = measure(options.flows, calls, log, chromium=options.chromium)
    print(json.dumps(found) if options.json else "\n".join(f"{k:32}{v}" for k, v in found.items()))


if __name__ == "__main__":
    main()
