"""What a forwarded datagram costs, Tandem beside its peers: `python -m bench.relay [--quick] [--json]`.

Tandem (native and Python datapath), coturn, nginx's stream module and two minimal forwarders in C, each
on the same one CPU in turn; the load and the echo behind them on the other. They all stay up for the
whole run and take turns in each round, so that what else happens on the machine meets them alike; a
figure is the median of its rounds. The cost is the CPU time of the forwarding process (all threads, user
and system, as the scheduler counts it) over the datagrams it forwarded in either direction: a round trip
counts two. Saturated: 1024 datagrams are always under way. Paced: so many datagrams a second leave the
clients and as many come back; latencies are round trips, and added is what the same load measures
without a relay in between.

Without --quick: all sizes and numbers of flows, more and longer rounds; a baseline that is far slower
than where it was measured once is named, and the exit code is 1. docs/performance.md tells the rest.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.figures import machine, show
from bench.native import FLAGS, program
from bench.placement import Placement
from bench.relay_clients import Clients, Trip
from bench.relay_contenders import Contender, contenders
from bench.relay_peers import install

NAMES: Final = ("tandem_native", "c_pack", "c_mmsg", "coturn", "nginx", "tandem_python")
GLOBAL: Final = "tandem_global"
"""Two relays, one behind the other; only if it is asked for."""
REDIS: Final = "tandem_redis"
"""The native one with a registry and a flow cache; likewise."""
EXTRA: Final = (GLOBAL, REDIS)
DIRECT: Final = "direct"
RATES: Final = {"5k": 5_000, "20k": 20_000}
SIZES: Final = (160, 1200)
FLOWS: Final = (100, 1_000, 10_000)
SIZE, FLOW_COUNT = 160, 1_000
"""Where nothing else is said."""
BASELINES: Final = {"nginx": 9.4, "coturn": 10.4, "c_mmsg": 5.3, "c_pack": 3.15}
"""Microseconds, once measured on a 2-core virtual machine: what a fair baseline costs about."""
TOO_SLOW: Final = 1.5


class Plan(NamedTuple):
    """How long all of it takes."""

    seconds: float
    """Of one load."""
    rounds: int
    budget: float
    """Seconds from the start of the bench: no round begins that might end later."""
    sizes: Sequence[int]
    flows: Sequence[int]
    paced: Sequence[str]
    """Who is measured paced, too."""


QUICK: Final = Plan(
    seconds=0.6,
    rounds=4,
    budget=42.0,
    sizes=(SIZE,),
    flows=(FLOW_COUNT,),
    paced=("tandem_native", *EXTRA, "c_mmsg", "coturn", DIRECT),
)
FULL: Final = Plan(
    seconds=0.8, rounds=5, budget=900.0, sizes=SIZES, flows=FLOWS, paced=(*NAMES, *EXTRA, DIRECT)
)


class Sample(NamedTuple):
    """One load through one contender."""

    cost: float
    """CPU microseconds per datagram."""
    rate: float
    """Datagrams a second in both directions."""
    busy: float
    """Share of a CPU."""
    trip: Trip


Point = tuple[str, str, int, int]
"""Contender; `saturated` or a key of RATES; bytes; flows."""
Samples = Mapping[Point, Sequence[Sample]]


def say(text: str) -> None:
    """Progress, to standard error."""
    print(text, file=sys.stderr, flush=True)


def sample(
    one: Contender, clients: Clients, place: Placement, *, size: int, seconds: float, rate: int = 0
) -> Sample:
    """Load it once."""
    before, began = one.cpu_us(), time.perf_counter()
    trip = clients.load(
        cpu=place.load,
        nice=place.nice,
        size=size,
        seconds=seconds,
        rate=rate,
        prefix=one.prefix(size),
    )
    used, elapsed = one.cpu_us() - before, time.perf_counter() - began
    # What was lost on the way back was forwarded once; counting it not at all is to nobody's favour.
    forwarded = max(1, 2 * trip.received)
    return Sample(used / forwarded, forwarded / elapsed, used / elapsed / 1e6, trip)


def measure(plan: Plan, names: Sequence[str], nice: int, began: float) -> Samples:
    """All samples of a run."""
    allowed = sorted(os.sched_getaffinity(0))
    place = Placement(allowed[0], allowed[-1], nice)
    if place.relay == place.load:
        raise SystemExit("the bench needs two CPUs")
    found: dict[Point, list[Sample]] = defaultdict(list)

    def take(one: Contender, clients: Clients, how: str, size: int, seconds: float) -> None:
        rate = RATES.get(how, 0)
        taken = sample(one, clients, place, size=size, seconds=seconds, rate=rate)
        found[one.name, how, size, clients.count].append(taken)
        say(
            f"{one.name:14} {how:9} {size:5} B {clients.count:6} flows  {taken.cost:6.2f} us  "
            f"{taken.rate:8,.0f}/s  {100 * taken.busy:3.0f} %  "
            f"p50 {taken.trip.p50:6.0f} us  p99 {taken.trip.p99:6.0f} us  "
            f"lost {taken.trip.sent - taken.trip.received}"
        )

    with contenders(place, (*names, DIRECT)) as running:
        say(
            f"{len(running) - 1} contenders run on CPU {place.relay}, load and echo on {place.load}"
        )
        os.sched_setaffinity(0, {place.load})
        for flows in plan.flows:
            with ExitStack() as stack:
                pairs = [(one, stack.enter_context(Clients(flows, one.address))) for one in running]
                for one, clients in pairs:
                    one.associate(clients)
                say(f"{flows} flows each")
                for _ in _rounds(plan, began):
                    for size in plan.sizes:
                        for one, clients in pairs:
                            if one.name != DIRECT:
                                take(one, clients, "saturated", size, plan.seconds)
                    if flows != FLOW_COUNT:
                        continue
                    for how in RATES:
                        for one, clients in pairs:
                            if one.name in plan.paced:
                                take(one, clients, how, SIZE, plan.seconds)
    return found


def _rounds(plan: Plan, began: float) -> Iterator[int]:
    """At least one; no further one if it ended too late, taking as long as the longest so far."""
    longest = 0.0
    for turn in range(plan.rounds):
        start = time.monotonic()
        if turn and start - began + longest > plan.budget:
            return
        yield turn
        longest = max(longest, time.monotonic() - start)


def fields(samples: Samples) -> dict[str, float | int | str]:
    """The flat object: medians and what follows from them."""
    out: dict[str, float | int | str] = {}
    for (name, how, size, flows), taken in samples.items():
        cost = round(statistics.median(each.cost for each in taken), 2)
        p50 = round(statistics.median(each.trip.p50 for each in taken))
        p99 = round(statistics.median(each.trip.p99 for each in taken))
        lost = sum(each.trip.sent - each.trip.received for each in taken)
        if name == DIRECT:
            out |= {f"direct_{how}_p50_us": p50, f"direct_{how}_p99_us": p99}
            continue
        short = name.removeprefix("tandem_")
        if how != "saturated":
            out |= {
                f"{name}_{how}_us": cost,
                f"{name}_{how}_p50_us": p50,
                f"{name}_{how}_p99_us": p99,
                f"{name}_{how}_lost": lost,
            }
            continue
        if len({point[2:] for point in samples}) > 1:
            out[f"{name}_{size}b_{flows}_us"] = cost
        if (size, flows) == (SIZE, FLOW_COUNT):
            out |= {
                f"{name}_us": cost,
                f"{name}_best_us": round(min(each.cost for each in taken), 2),
                f"{short}_pps": round(statistics.median(each.rate for each in taken)),
                f"{short}_busy": round(statistics.median(each.busy for each in taken), 2),
                f"{short}_lost": lost,
                f"{short}_rounds": len(taken),
            }
    return out | _added(out) | _second_tier(out) | _with_redis(samples) | _ratios(out)


def _added(out: Mapping[str, Any]) -> dict[str, int]:
    """Round trips less what load and echo take without a relay."""
    return {
        f"{name}_{how}_added_{share}_us": max(
            0, out[f"{name}_{how}_{share}_us"] - out[f"direct_{how}_{share}_us"]
        )
        for name in NAMES
        for how in RATES
        for share in ("p50", "p99")
        if f"{name}_{how}_us" in out and f"direct_{how}_{share}_us" in out
    }


def _second_tier(out: Mapping[str, Any]) -> dict[str, float]:
    """What a Global Relay in front adds to a datagram."""
    return {
        f"global_added{how}_us": round(out[f"{GLOBAL}{how}_us"] - out[f"tandem_native{how}_us"], 2)
        for how in ("", *(f"_{rate}" for rate in RATES))
        if f"{GLOBAL}{how}_us" in out and f"tandem_native{how}_us" in out
    }


def _with_redis(samples: Samples) -> dict[str, float]:
    """What a datagram costs with Redis to what it costs without: the median over rounds."""
    out = {}
    for (name, how, size, flows), taken in samples.items():
        without = samples.get(("tandem_native", how, size, flows), ())
        if name == REDIS and (size, flows) == (SIZE, FLOW_COUNT) and without:
            ratios = [a.cost / b.cost for a, b in zip(taken, without, strict=False)]
            field = "redis_to_native" if how == "saturated" else f"redis_to_native_{how}"
            out[field] = round(statistics.median(ratios), 3)
    return out


def _ratios(out: Mapping[str, Any]) -> dict[str, float]:
    """The native datapath to the others."""
    return {
        f"native_to_{name}{how}": round(out[f"tandem_native{how}_us"] / out[f"{name}{how}_us"], 3)
        for how in ("", *(f"_{rate}" for rate in RATES))
        for name in NAMES[1:]
        if out.get(f"{name}{how}_us") and f"tandem_native{how}_us" in out
    }


def slow_baselines(out: Mapping[str, Any]) -> list[str]:
    """Baselines that are no fair ones today, by their best round."""
    return [
        f"{name} took {out[f'{name}_best_us']} us, {TOO_SLOW} x {usual} is the most"
        for name, usual in BASELINES.items()
        if out.get(f"{name}_best_us", 0.0) > TOO_SLOW * usual
    ]


def terms() -> dict[str, str | int | float]:
    """Where and with what this was."""
    return machine() | {"c_flags": " ".join(FLAGS), "payload": SIZE, "flows": FLOW_COUNT}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.relay",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="one size, one number of flows, 45 s")
    parser.add_argument("--json", action="store_true", help="one flat JSON object on stdout")
    known = ",".join((*NAMES, *EXTRA))
    parser.add_argument(
        "--only", metavar="NAMES", help=f"of {known}; the last two only if named here"
    )
    parser.add_argument(
        "--nice", type=int, default=0, help="of all that is measured, on a machine that others use"
    )
    parser.add_argument(
        "--save", metavar="FILE", type=Path, help="write the JSON object there, too"
    )
    options = parser.parse_args()
    names = tuple(options.only.split(",")) if options.only else NAMES
    if unknown := sorted(set(names) - {*NAMES, *EXTRA}):
        parser.error(f"no contender is called {', '.join(unknown)}")
    # So that everything that was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    install()
    for each in ("load", "echo", "forward"):
        program(each)
    place = terms() | {"nice": options.nice}
    results: dict[str, Any] = fields(
        measure(QUICK if options.quick else FULL, names, options.nice, time.monotonic())
    )
    slow = slow_baselines(results)
    results |= {"baseline_warnings": "; ".join(slow)} | place
    show(results, as_json=options.json, save=options.save)
    if slow and not options.quick:  # a short run is for a look: it says so in a field
        raise SystemExit(f"slow baselines: {'; '.join(slow)}")


if __name__ == "__main__":
    main()
