"""What a forwarded datagram costs: `python -m bench.relay [--quick] [--json]`.

One relay process pinned to one core, clients and echo on another. Saturated: every flow always has
datagrams under way, so the relay never waits. The cost is its CPU time, user and system, over the
datagrams it sent on in either direction. Paced: a load it does not feel, for the latency and the cost
when each wake-up finds little to do. Times are CPU times where they can be; wall times on a shared
machine are for the reader's judgement.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from typing import Any

import trio

from bench.relay_contenders import Contender, run_tandem
from bench.relay_load import Clients
from config.model import DatapathChoice

OUTSTANDING = 2
"""Datagrams of each flow under way when saturated: more than a turn takes, less than a buffer holds."""


def say(text: str) -> None:
    """Progress, to standard error."""
    print(text, file=sys.stderr, flush=True)


def percentile(values: list[float], share: float) -> float:
    """Value below which that share of all lies; 0 if there are none."""
    return sorted(values)[int(share * (len(values) - 1))] if values else 0.0


async def measure(
    contender: Contender, *, flows: int, seconds: float, rate: float
) -> dict[str, float | int]:
    """All figures of one contender, by its name."""
    name = contender.name
    clients = Clients(flows, contender.address)
    try:
        associated = await contender.associate(clients)
        say(f"{name}: {associated} of {flows} flows")
        costs: list[float] = []
        busy: list[float] = []
        rates: list[float] = []
        async with trio.open_nursery() as nursery:
            # The load outlasts the samples, so that each interval is full of it.
            nursery.start_soon(trio.to_thread.run_sync, clients.saturate, seconds + 3, OUTSTANDING)
            await contender.sample()
            before, at = await contender.sample(), trio.current_time()
            end = at + seconds
            while trio.current_time() < end - 0.5:
                after, now = await contender.sample(), trio.current_time()
                cpu, done = (
                    after.cpu_seconds - before.cpu_seconds,
                    after.datagrams - before.datagrams,
                )
                if done:
                    costs.append(1e6 * cpu / done)
                    rates.append(done / (now - at))
                    busy.append(cpu / (now - at))
                    say(
                        f"{name}: {costs[-1]:.2f} us, {rates[-1]:,.0f} datagrams/s, "
                        f"{100 * busy[-1]:.0f} % of a core"
                    )
                before, at = after, now
        first = await contender.sample()
        trips, lost = await trio.to_thread.run_sync(clients.pace, max(3.0, seconds / 2), rate)
        await contender.sample()
        last = await contender.sample()
    finally:
        clients.close()
    paced_cost = (
        1e6 * (last.cpu_seconds - first.cpu_seconds) / max(1, last.datagrams - first.datagrams)
    )
    for problem in contender.problems():
        say(f"{name}: {problem}")
    return {
        f"tandem_{name}_us": round(statistics.median(costs), 2) if costs else 0.0,
        f"{name}_pps": round(statistics.median(rates)) if rates else 0,
        f"{name}_busy": round(statistics.median(busy), 2) if busy else 0.0,
        f"{name}_flows": associated,
        f"{name}_paced_pps": round(2 * rate),
        f"{name}_paced_us": round(paced_cost, 2),
        f"{name}_rtt_p50_us": round(percentile(trips, 0.5)),
        f"{name}_rtt_p99_us": round(percentile(trips, 0.99)),
        f"{name}_paced_lost": lost,
    }


async def bench(*, flows: int, seconds: float, rate: float) -> dict[str, Any]:
    """Run every contender after another."""
    allowed = sorted(os.sched_getaffinity(0))
    relay_cpu, load_cpu = allowed[0], allowed[-1]
    results: dict[str, Any] = {
        "interpreter": f"{platform.python_implementation()} {platform.python_version()}",
        "cpus": len(allowed),
        "flows": flows,
        "payload": 160,
    }
    for datapath in (DatapathChoice.PYTHON, DatapathChoice.NATIVE):
        os.sched_setaffinity(0, allowed)
        async with trio.open_nursery() as nursery:
            contender = await nursery.start(run_tandem, datapath, relay_cpu, load_cpu)
            os.sched_setaffinity(0, {load_cpu})  # only now: children inherit it
            results |= await measure(contender, flows=flows, seconds=seconds, rate=rate)
            nursery.cancel_scope.cancel()
    return results


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about 15 seconds")
    parser.add_argument("--json", action="store_true", help="one flat JSON object on stdout")
    parser.add_argument("--flows", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=5000, help="datagrams a second when paced")
    options = parser.parse_args()
    seconds = 6.0 if options.quick else 20.0
    results = trio.run(lambda: bench(flows=options.flows, seconds=seconds, rate=options.rate))
    if options.json:
        print(json.dumps(results))
    else:
        for name, value in results.items():
            print(f"{name:28} {value}")


if __name__ == "__main__":
    main()
