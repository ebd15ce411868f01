"""What a back end elsewhere costs: `python -m bench.backend [--quick] [--json]`.

* **delay, flush, played**: frames through a transceiver's side of the protocol to a back end in a process
  of its own and back, by its clock, from when the media plane has them, so with what they wait for
  company; the media plane and the network are left out.
* **us_per_frame**: all CPU of a transceiver in a real appliance, all threads, user and system, by /proc,
  divided by the frames that it heard and spoke, so for each frame one way, while `tandem call` is echoed
  by two back ends: media plane, session, protocol, playout, sockets and wake-ups together, and what
  keeps sessions alive. `us_per_frame_200`: the same with 200 calls.
* **failover**: then one of the two is killed, and its sessions go on at the other.

A busy machine makes delays longer and CPU dearer; `load_average` is what it was at the beginning.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import trio

from bench.appliance import Appliance, free_port, launched
from bench.backend_figures import cut_fields, delay_fields
from bench.backend_stage import Stage
from bench.figures import machine, show
from bench.usage import process_cpu
from ipc.messages.stats import TransceiverStats

_SECTIONS: Final = """\
[relay]
listen = ["127.0.0.1:{port}"]
workers = 1
[transceiver]
workers = 1
max_busy = 1
[backends]
endpoints = {{ bench = {endpoints} }}
default = "bench"
"""
MANY: Final = 200
"""Sessions of the goals."""
_PEER: Final = [sys.executable, "-m", "bench.backend_peer"]


@contextmanager
def peer(endpoint: str) -> Iterator[subprocess.Popen[str]]:
    """A back end, killed behind you."""
    with subprocess.Popen([*_PEER, endpoint], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it has begun
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def appliance(endpoints: list[str]) -> Iterator[Appliance]:
    """One worker of each kind, whose calls go there."""
    with launched(_SECTIONS.format(port=free_port(), endpoints=json.dumps(endpoints))) as running:
        time.sleep(1.0)  # until the back ends have been heard
        yield running


def frames_of(running: Appliance) -> int:
    """In and out, so far."""
    stats = running.worker("transceiver").stats
    assert isinstance(stats, TransceiverStats)
    return stats.audio_in + stats.audio_out


def settle(running: Appliance, count: int) -> None:
    """Wait until so many sessions talk."""
    deadline = time.monotonic() + 30
    while running.worker("transceiver").sessions < count and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1.5)


def cost(running: Appliance, count: int, seconds: float) -> tuple[float, float]:
    """Microseconds of a transceiver's CPU for each frame with so many calls, and frames a second."""
    pid = running.worker("transceiver").pid
    settle(running, count)
    cpu, frames, began = process_cpu(pid), frames_of(running), time.monotonic()
    time.sleep(seconds)
    cpu, frames = process_cpu(pid) - cpu, frames_of(running) - frames
    return round(cpu / max(frames, 1) * 1e6, 2), round(frames / (time.monotonic() - began))


def under_many(directory: str, count: int, seconds: float) -> float:
    """CPU of the transceiver for each frame with two back ends and so many calls."""
    one, two = (f"ipc://{directory}/{name}-{count}.sock" for name in ("one", "two"))
    with peer(one), peer(two), appliance([one, two]) as running:
        caller = running.call(count=count, rate=100, seconds=seconds + 2.0)
        us_per_frame, _ = cost(running, count, seconds)
        caller.report()
    return us_per_frame


def under_calls(directory: str, count: int, seconds: float) -> dict[str, Any]:
    """CPU of the transceiver with two back ends; then one of them is killed."""
    one, two = (f"ipc://{directory}/{name}.sock" for name in ("one", "two"))
    with peer(one) as first, peer(two) as second, appliance([one, two]) as running:
        caller = running.call(count=count, rate=100, seconds=seconds + 6.0)
        us_per_frame, frames_per_second = cost(running, count, seconds)
        first.kill()
        killed = time.monotonic()
        report = caller.report()
        second.kill()
        assert second.stdout is not None
        resumed = [json.loads(line)["at"] - killed for line in second.stdout]
    return {
        "calls": count,
        "us_per_frame": us_per_frame,
        "frames_per_second": frames_per_second,
        "rtt_p50_ms": report["rtt_p50_ms"],
        "failover_resumed": len(resumed),
        "failover_ms": round(max(resumed, default=0.0) * 1000),
        "failover_sessions_lost": report["sessions_failed"],
    }


def main() -> None:
    """Run, and print one flat object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under 50 s")
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    parser.add_argument("--sessions", type=int, default=0, help="of all measurements")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the object there, too")
    arguments = parser.parse_args()
    quick, place = arguments.quick, machine()
    many = arguments.sessions or MANY
    calls = arguments.sessions or 100
    seconds = 3.0 if quick else 20.0
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="tandem-bench-"))
        endpoint = f"ipc://{directory}/bench.sock"
        with peer(endpoint):
            round_trips, cuts = trio.run(Stage(endpoint, many).run, seconds)
        fields: dict[str, Any] = {"sessions": many, **delay_fields(round_trips), **cut_fields(cuts)}
        fields |= under_calls(directory, calls, seconds)
        fields[f"us_per_frame_{MANY}"] = under_many(directory, MANY, seconds)
    fields |= place
    show(fields, as_json=arguments.json, save=arguments.save)


if __name__ == "__main__":
    main()
