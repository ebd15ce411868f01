"""`python -m bench.failover`: how long calls are silent when the host of their relay dies.

Two hosts in network namespaces, one address between them (bench/failover_net.py). Sessions are on host 2,
their clients come by the relay of host 1. Host 1 is killed, all of it, and host 2 gets the address, from
which moment on silence counts. Clients check consent every 2.5 s, as Chromium does.

    cache_gap_p50_ms, cache_gap_p99_ms   with the flow cache: longest silence of a call, over calls
    cache_sessions_lost                  calls that heard nothing any more
    no_cache_gap_p99_ms                  hosts that know each other without Redis: by the next check
    redis_down_gap_p99_ms                Redis is killed first: as without
    redis_commands_per_session           what Redis counted for the calls' flows, heartbeats not included

20 ms would be no gap at all.
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

AFTER: Final = 4.0
"""Seconds that are watched: more than the 2.5 s between two checks, and a second of talk."""


def measure(count: int, log: Callable[[str], None]) -> dict[str, Any]:
    """The whole bench."""
    cache = _scenario("cache", count, cache=True, redis=True, log=log)
    none = _scenario("no_cache", count, cache=False, redis=False, log=log)
    down = _scenario("redis_down", count, cache=True, redis=True, kill_redis=True, log=log)
    return {**cache, **none, **down, "calls": count}


def _scenario(
    name: str,
    count: int,
    *,
    cache: bool,
    redis: bool,
    kill_redis: bool = False,
    log: Callable[[str], None],
) -> dict[str, Any]:
    with stage(cache=cache, redis=redis) as scene:
        before = _flow_commands(scene)
        calls = scene.calls(count, 120.0)
        if cache:
            scene.until("written flows", lambda: _written(scene) >= count)
        if kill_redis:
            scene.redis.kill()
            scene.redis.wait()
            time.sleep(1.0)
        time.sleep(0.5)
        since = scene.fail_over()
        time.sleep(AFTER)
        until = time.monotonic() - 0.1
        relay = scene.second.relay()
        log(f"{name}: {relay}")
        calls.send_signal(signal.SIGINT)
        heard = _report(calls)
        spent = 0.0 if kill_redis else (_flow_commands(scene) - before) / count
    arrivals = heard["arrivals"]
    gaps = [1000 * gap(times, since, until) for times in arrivals]
    found = {
        f"{name}_gap_p50_ms": round(percentile(gaps, 0.5), 1),
        f"{name}_gap_p99_ms": round(percentile(gaps, 0.99), 1),
        f"{name}_sessions_lost": lost(arrivals, until) + count - len(arrivals),
    }
    if name == "cache":
        found["redis_commands_per_session"] = round(spent, 2)
    log(f"{found} {heard['errors']}")
    return found


def _written(scene: Stage) -> int:
    fleet = scene.first.fleet()
    return 0 if fleet is None else fleet.cache.get("written", 0)


def _report(calls: subprocess.Popen[str]) -> dict[str, Any]:
    output, _ = calls.communicate(timeout=60)
    found: dict[str, Any] = json.loads(output)
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
    parser.add_argument("--quick", action="store_true", help="few calls, within 50 seconds")
    parser.add_argument("--calls", type=int, help="live calls (1000; 40 with --quick)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if not possible():
        raise SystemExit("bench.failover needs root and iproute2: it makes network namespaces")

    def log(line: str) -> None:
        if not options.json:
            print(line, file=sys.stderr)

    found = measure(options.calls or (40 if options.quick else 1000), log)
    print(json.dumps(found) if options.json else "\n".join(f"{k:32}{v}" for k, v in found.items()))


if __name__ == "__main__":
    main()
