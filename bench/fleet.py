"""A fleet on paper: what one host costs, times many, and which part breaks first: `python -m bench.fleet`.

Costs are read from the saved runs of the other benches (docs/*.json), so they are as true as those. What no
bench on one machine can show is simulated: how fast a change spreads through the registry, how much it
holds and carries, what a router's hash does to flows when a host goes, and how soon a Global Relay leaves
a dead relay (with the relay's own code). Seeded: the same figures every time.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from bench.figures import show
from config.ids import ClusterId, Endpoint
from workers.relay.core.clusters import ASK, Clusters

DOCS: Final = Path(__file__).parents[1] / "docs"
PACKETS: Final = 100
"""Datagrams a second of a session, both ways: frames of 20 ms."""
CHECKS: Final = 1 / 2.5
LIVE_FLOWS: Final = 128_874
"""Flows whose checks alone fill a relay's CPU (bench.scale)."""
GLOBAL_ADDED: Final = 0.58
"""Microseconds that a second relay adds to a datagram at 40,000 a second (bench.relay)."""
PCM_GOAL: Final = 60
"""Decoded calls a core, where the saved run has none."""
BEAT: Final = 0.5
BEAT_BYTES: Final = 40
HOST_BYTES: Final = 600
"""What a host with a relay and a transceiver for each of eight CPUs announces, encoded."""
REDIS_BYTES: Final = 1.25e9
"""A second, of a 10 Gbit/s port."""
TURN: Final = 0.010
"""Round trip to the registry, seconds."""


def capacity() -> dict[str, float]:
    """Sessions that one core of each kind serves, by the saved runs."""
    relay = json.loads((DOCS / "relay-bench.json").read_text())["tandem_native_us"]
    run = json.loads((DOCS / "transceiver-bench.json").read_text())
    transceiver, set_up, pcm = (
        run.get(name) for name in ("tandem_us_per_echo_300", "setup_cpu_ms", "pcm_us_per_frame")
    )
    checks = 1e6 / LIVE_FLOWS
    return {
        "relay_us_per_session_second": round(PACKETS * relay + checks, 1),
        "sessions_per_relay_core": int(1e6 / (PACKETS * relay + checks)),
        "sessions_per_ingress_core": int(1e6 / (PACKETS * GLOBAL_ADDED + checks)),
        "sessions_per_transceiver_core": int(1e6 / (PACKETS / 2 * transceiver)),
        "new_sessions_per_core_second": int(1000 / set_up),
        "pcm_sessions_per_core": int(1e6 / (PACKETS / 2 * pcm)) if pcm else PCM_GOAL,
        "relay_us": relay,
        "transceiver_us": transceiver,
        "set_up_ms": set_up,
    }


def registry(hosts: int, of_cluster: int) -> dict[str, float]:
    """What Redis holds and carries for so many hosts in clusters of that size."""
    clusters = -(-hosts // of_cluster)
    read = clusters * (of_cluster**2 * BEAT_BYTES + of_cluster * HOST_BYTES) / BEAT
    return {
        "hosts": hosts,
        "of_cluster": of_cluster,
        "stored_mb": round(hosts * (BEAT_BYTES + HOST_BYTES) / 1e6, 2),
        "commands_per_second": round(3 * hosts / BEAT),
        "read_mb_per_second": round(read / 1e6, 1),
        "busiest_server_share": round(read / clusters / REDIS_BYTES, 3),
        "all_on_one_server_share": round(read / REDIS_BYTES, 3),
    }


def convergence(hosts: int, seed: int = 1, turns: int = 200) -> dict[str, float]:
    """Milliseconds from a change on one host until the others know it, each reading at its own beat."""
    dice = random.Random(seed)
    taken: list[float] = []
    last: list[float] = []
    for _ in range(turns):
        said = dice.uniform(0, BEAT) + TURN / 2  # it goes out with the next beat, half a turn away
        heard = [
            said + (phase - said) % BEAT + TURN
            for phase in (dice.uniform(0, BEAT) for _ in range(hosts - 1))
        ]
        taken += heard
        last.append(max(heard))
    quantiles = statistics.quantiles(taken, n=100)
    return {
        "known_p50_ms": round(1000 * statistics.median(taken)),
        "known_p99_ms": round(1000 * quantiles[98]),
        "known_everywhere_max_ms": round(1000 * max(last)),
    }


def _hash(flow: int, extra: int = 0) -> int:
    key = flow.to_bytes(8, "big") + extra.to_bytes(4, "big")
    return int.from_bytes(blake2b(key, digest_size=8).digest(), "big")


def _modulo(flow: int, hosts: Sequence[int]) -> int:
    return hosts[_hash(flow) % len(hosts)]


def _threshold(flow: int, hosts: Sequence[int]) -> int:
    """RFC 2992, and Linux: the space of hashes in as many equal parts."""
    return hosts[_hash(flow) * len(hosts) >> 64]


def _resilient(flow: int, hosts: Sequence[int], buckets: int = 1024, full: int = 8) -> int:
    """A table of buckets, of which only those of the one that has gone are given to others."""
    bucket = _hash(flow) % buckets
    owner = bucket % full
    return owner if owner in hosts else hosts[_hash(bucket, 1) % len(hosts)]


def _rendezvous(flow: int, hosts: Sequence[int]) -> int:
    return max(hosts, key=lambda host: _hash(flow, host + 1))


HASHES: Final[dict[str, Callable[[int, Sequence[int]], int]]] = {
    "modulo": _modulo,
    "threshold": _threshold,
    "resilient": _resilient,
    "rendezvous": _rendezvous,
}


def rehash(hosts: int = 8, flows: int = 20_000) -> dict[str, float]:
    """Share of flows of hosts that live which move when one of so many goes: worst, over who goes."""
    whole = list(range(hosts))
    out = {}
    for name, chosen in HASHES.items():
        before = [chosen(flow, whole) for flow in range(flows)]
        shares = []
        for gone in (0, hosts // 2, hosts - 1):
            left = [host for host in whole if host != gone]
            others = [flow for flow in range(flows) if before[flow] != gone]
            moved = sum(chosen(flow, left) != before[flow] for flow in others)
            shares.append(moved / len(others))
        out[f"moved_{name}"] = round(max(shares), 3)
    return out


def abandonment(relays: int = 4, seed: int = 1, turns: int = 500) -> dict[str, float]:
    """Milliseconds from a relay's death until a Global Relay raises its flows."""
    dice = random.Random(seed)
    taken = []
    for _ in range(turns):
        names = [Endpoint(f"10.0.0.{n}", 3479) for n in range(1, relays + 1)]
        of, now = Clusters({ClusterId(7): names}, 0.0), 0.0
        died, trip = dice.uniform(5.0, 5.0 + ASK), dice.uniform(0.001, 0.2)
        found = None
        while found is None:
            _, asked, dead = of.ask(now)
            if names[0] in dead:
                found = now
            for relay in asked:
                if relay != names[0] or now + trip / 2 < died:
                    of.heard(relay, now + trip)
            now += ASK / 2
        taken.append(1000 * (found - died))
    return {"left_p50_ms": round(statistics.median(taken)), "left_max_ms": round(max(taken))}


def rotation(spread: float = 1.0, longest: float = 3600.0, roll: float = 60.0) -> dict[str, float]:
    """Seconds that replacing a ufrag key takes, by its three steps."""
    return {
        "key_known_s": spread + roll,
        "key_minted_s": roll,
        "old_key_in_use_s": longest,
        "rotation_s": spread + 2 * roll + longest,
    }


def figures() -> dict[str, Any]:
    """All of them, flat."""
    out: dict[str, Any] = {**capacity()}
    for hosts, of_cluster in ((100, 100), (10_000, 100), (10_000, 1_000), (10_000, 10_000)):
        for name, value in registry(hosts, of_cluster).items():
            out[f"registry_{hosts}_{of_cluster}_{name}"] = value
    for hosts in (10, 100, 1_000):
        for name, value in convergence(hosts).items():
            out[f"convergence_{hosts}_{name}"] = value
    return out | rehash() | abandonment() | rotation()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.fleet",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="one flat JSON object on stdout")
    options = parser.parse_args()
    found = figures()
    show(found, as_json=options.json)


if __name__ == "__main__":
    main()
