"""What a session costs, beside Janus, Pion and aiortc: `python -m bench.transceiver [--quick] [--json]`.

A real appliance with one worker of each kind, called by `tandem call`: 50 packets a second and call,
echoed. Its transceiver and its peers take turns on one CPU, which is theirs alone; relay, signaling and
caller share the others. Measured are:

* **turns**: 50 calls each (without --quick also 200), all of them in every round, medians (--quick: the
  peers once). CPU by /proc. One more call is an aiortc client's, which hears whether its tone comes back
  (`X_spot_check`; --quick: in the first round).
* **many**: 300 calls on Tandem alone (without --quick also 500 and 1000, with --quick --alone 1000),
  transceiver and relay, by what they say of themselves, and memory. At 1000 the relay shares the
  transceiver's CPU, since the caller needs the other one for itself.
* **burst**: calls as fast as they are answered, and what one costs in all processes of Tandem, and in the
  process of each contender (`X_setup_cpu_ms`).
* **pcm**, not with --quick unless --alone: 60 calls whose voice is decoded and encoded (`echo-pcm`).
* **capacity**, not with --quick: how many calls each holds with less than 0.1 % of its packets lost.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.appliance import Appliance, running
from bench.figures import machine, show
from bench.placement import Placement, pin, weigh
from bench.spot_check import Spotter, spotting
from bench.transceiver_capacity import capacity, kept_of
from bench.transceiver_contenders import (
    Contender,
    Turn,
    medians,
    set_up_cpu,
    take_turn,
)
from bench.transceiver_pcm import measure_pcm
from bench.transceiver_peers import AIORTC_PYTHON, install, running_peers, versions
from bench.usage import resident, threads_cpu
from ipc.messages.stats import RelayStats, TransceiverStats

FEW: Final = 50
"""Calls in a turn."""
MANY: Final = 300
MOST: Final = 1000
RATE: Final = 100
"""Calls placed a second."""
CONNECT: Final = 1.0
"""Seconds from then until the window begins, the caller's start included."""
BURST: Final = 200
BURST_QUICK: Final = 120
BURST_QUICK_PEER: Final = 20
SLOW: Final = frozenset({"aiortc"})
"""Peers so far off that one round tells enough."""


class Window(NamedTuple):
    """CPU in microseconds per echoed packet, while all calls talk."""

    transceiver: float
    relay: float
    kilobytes: float
    """Resident memory of the transceiver per session."""
    report: dict[str, Any]


def measure(appliance: Appliance, *, count: int, seconds: float) -> Window:
    """Steady state of so many calls, watched for `seconds`."""
    pid = appliance.worker("transceiver").pid
    placing, before = count / RATE, resident(pid)
    caller = appliance.call(count=count, rate=RATE, seconds=placing + CONNECT + seconds + 1.0)
    time.sleep(placing + CONNECT)
    first = snapshot(appliance)
    time.sleep(seconds)
    last, grown = snapshot(appliance), resident(pid) - before
    report = caller.report()
    transceiver = (last[0].usage.cpu_seconds - first[0].usage.cpu_seconds) / max(
        last[0].audio_out - first[0].audio_out, 1
    )
    relay = (last[1].usage.cpu_seconds - first[1].usage.cpu_seconds) / max(
        last[1].forwarded - first[1].forwarded, 1
    )
    return Window(transceiver * 1e6, relay * 1e6, grown / 1024 / count, report)


@contextmanager
def sharing(appliance: Appliance) -> Iterator[None]:
    """Relay and transceiver on the transceiver's CPU."""
    relay, transceiver = (appliance.worker(role).pid for role in ("relay", "transceiver"))
    (before,), (shared,) = os.sched_getaffinity(relay), os.sched_getaffinity(transceiver)
    pin(relay, shared)
    try:
        yield
    finally:
        pin(relay, before)


def snapshot(appliance: Appliance) -> tuple[TransceiverStats, RelayStats]:
    """The latest counters of both workers."""
    transceiver, relay = appliance.worker("transceiver").stats, appliance.worker("relay").stats
    assert isinstance(transceiver, TransceiverStats)
    assert isinstance(relay, RelayStats)
    return transceiver, relay


def burst(appliance: Appliance, count: int) -> dict[str, Any]:
    """New sessions as fast as they come, and what one costs in all processes, hang-up included."""
    pid = appliance.worker("transceiver").pid
    before, own = appliance.cpu_seconds(), threads_cpu(pid)
    report = appliance.call(count=count, rate=0, seconds=0.1).report()
    time.sleep(0.5)
    cpu, own = appliance.cpu_seconds() - before, threads_cpu(pid) - own
    return {
        "sessions_per_second": report["sessions_per_second"],
        "setup_cpu_ms": round(cpu / count * 1000, 2),
        "tandem_setup_cpu_ms": round(own / count * 1000, 2),
        "burst_failed": report["sessions_failed"],
    }


def take_turns(
    contenders: Sequence[Contender],
    *,
    sessions: int,
    rounds: int,
    seconds: float,
    once: Collection[str] = SLOW,
    spotter: Spotter | None = None,
    spots: int = 1,
) -> dict[str, list[Turn]]:
    """All of them in each round, those named in `once` in the first only; spotted in so many rounds."""
    turns: dict[str, list[Turn]] = {contender.name: [] for contender in contenders}
    for number in range(rounds):
        for contender in contenders:
            if number == 0 or contender.name not in once:
                say(f"round {number + 1}, {sessions} sessions: {contender.name}")
                by = spotter if number < spots else None
                turn = take_turn(contender, sessions=sessions, seconds=seconds, spotter=by)
                if turn.amiss:
                    say(f"the independent client of {contender.name}: {turn.amiss}")
                turns[contender.name].append(turn)
    return turns


def capacities(
    contenders: Sequence[Contender],
    turns: Mapping[str, Sequence[Turn]],
    known: Mapping[str, Any],
    us_of_many: float,
) -> dict[str, float]:
    """Of each, in three minutes together. `us_of_many`: what many calls of Tandem cost a packet."""
    fields: dict[str, float] = {}
    for contender in contenders:
        say(f"capacity: {contender.name}")
        name = contender.name
        is_ours = name == "tandem"
        fields |= capacity(
            contender,
            us_per_echo=us_of_many if is_ours else known[f"{name}_us_per_echo"],
            setup_ms=known["setup_cpu_ms" if is_ours else f"{name}_setup_cpu_ms"],
            kept=kept_of([turn.report for turn in turns[name]]),
            budget=90.0 if is_ours else 30.0,
        )
    return fields


def many_fields(windows: Iterable[tuple[int, Window]]) -> dict[str, float]:
    """Flat, by number of sessions."""
    fields: dict[str, float] = {}
    for count, window in windows:
        report = window.report
        fields |= {
            f"tandem_us_per_echo_{count}": round(window.transceiver, 2),
            f"relay_us_per_echo_{count}": round(window.relay, 2),
            f"both_us_per_echo_{count}": round(window.transceiver + window.relay, 2),
            f"lost_{count}": round(report["packets_lost"] / max(report["packets_sent"], 1), 6),
            f"failed_{count}": report["sessions_failed"],
            f"rtt_p50_ms_{count}": report["rtt_p50_ms"],
            f"rtt_p99_ms_{count}": report["rtt_p99_ms"],
            f"caller_late_max_ms_{count}": report["tick_late_max_ms"],
        }
    return fields


def say(what: str) -> None:
    """Progress."""
    print(what, file=sys.stderr, flush=True)


@contextmanager
def _stage(
    *, peers: bool, nice: int
) -> Iterator[tuple[Appliance, list[Contender], Spotter | None]]:
    """All that echoes on the last CPU, everything else on the others."""
    *others, own = sorted(os.sched_getaffinity(0))
    if not others:
        raise SystemExit("this bench needs two CPUs")
    with running() as appliance, tempfile.TemporaryDirectory(prefix="tandem-peers-") as directory:
        transceiver = appliance.worker("transceiver").pid
        Placement(own, others[0], nice).move(appliance.status().pid, but=transceiver)
        pin(transceiver, own)
        # Callers inherit it.
        os.sched_setaffinity(0, {others[0]})
        if nice:
            os.setpriority(os.PRIO_PROCESS, 0, nice)
            weigh(os.getpid(), nice)
        tandem = Contender("tandem", appliance.url, transceiver)
        if not peers:
            yield appliance, [tandem], None
            return
        with (
            running_peers(directory, own, others[0], nice) as found,
            spotting(AIORTC_PYTHON, others[0], nice) as spotter,
        ):
            yield appliance, [tandem, *found], spotter


def main() -> None:
    """Run, and print one flat object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under 50 s once all is installed")
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    parser.add_argument("--alone", action="store_true", help="without the peers")
    parser.add_argument(
        "--nice", type=int, default=0, help="weight on a busy machine, for all alike"
    )
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the object there, too")
    arguments = parser.parse_args()
    quick = arguments.quick
    if not arguments.alone:
        install()
    place = machine()
    with _stage(peers=not arguments.alone, nice=arguments.nice) as (appliance, contenders, spotter):
        appliance.call(count=5, rate=20, seconds=0.5).report()
        fields: dict[str, Any] = {}
        windows = []
        many: tuple[int, ...] = (MANY, 500, MOST)
        if quick:
            many = (MANY, MOST) if arguments.alone else (MANY,)
        for count in many:
            say(f"{count} sessions")
            with sharing(appliance) if count == MOST else nullcontext():
                found = measure(appliance, count=count, seconds=2.0 if quick else 10.0)
            windows.append((count, found))
        seconds, rounds = (1.0, 2) if quick else (4.0, 5)
        turns = take_turns(
            contenders,
            sessions=FEW,
            rounds=rounds,
            seconds=seconds,
            once={c.name for c in contenders[1:]} if quick else SLOW,
            spotter=spotter,
            spots=1 if quick else rounds,
        )
        fields |= medians(turns)
        # After the turns, which tell what memory a call takes of a process that had none.
        say("bursts of calls")
        rush = burst(appliance, BURST_QUICK if quick else BURST)
        for peer in contenders[1:]:
            spent = set_up_cpu(peer, BURST_QUICK_PEER if quick else FEW)
            rush[f"{peer.name}_setup_cpu_ms"] = round(spent, 2)
        if not quick or arguments.alone:
            say("calls that are decoded and encoded")
            fields |= measure_pcm(appliance, seconds=2.0 if quick else 10.0)
        if not quick:
            able = [c for c in contenders if c.name not in SLOW]
            more = take_turns(
                able, sessions=200, rounds=3, seconds=seconds, spotter=spotter, spots=3
            )
            fields |= {f"{name}_200": value for name, value in medians(more).items()}
            fields |= capacities(contenders, turns, fields | rush, windows[0][1].transceiver)
    for name in turns:
        if name != "tandem":
            ratio = fields["tandem_us_per_echo"] / max(fields[f"{name}_us_per_echo"], 0.01)
            fields[f"tandem_to_{name}"] = round(ratio, 3)
    fields |= many_fields(windows)
    fields |= {"kb_per_session": round(windows[0][1].kilobytes, 1), **rush}
    fields |= {
        "sessions": FEW,
        "versions": {} if arguments.alone else versions(),
        "nice": arguments.nice,
        **place,
    }
    show(fields, as_json=arguments.json, save=arguments.save)


if __name__ == "__main__":
    main()
