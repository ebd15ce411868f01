"""The tables of docs/performance.md from a saved run: `python -m bench.tables RUN.json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from bench.relay import FLOWS, RATES, SIZES

LABELS: Final = {
    "tandem_native": "**Tandem**, native datapath",
    "c_pack": "bare C forwarder, packing",
    "c_mmsg": "bare C forwarder, recvmmsg/sendmmsg",
    "tandem_python": "Tandem, Python datapath",
    "nginx": "nginx stream",
    "coturn": "coturn",
}


def saturated(run: Mapping[str, Any]) -> str:
    """One size and number of flows, and what Tandem takes of each."""
    own = run["tandem_native_us"]
    rows = (
        [label, f"{run[f'{name}_us']:.2f}", f"{own / run[f'{name}_us']:.2f}"]
        for name, label in LABELS.items()
    )
    return _table(["forwarder", "CPU per datagram, µs", "Tandem to it"], rows)


def matrix(run: Mapping[str, Any]) -> str:
    """All sizes and numbers of flows."""
    points = [(size, flows) for size in SIZES for flows in FLOWS]
    head = ["µs per datagram, saturated", *(f"{size} B, {flows} flows" for size, flows in points)]
    rows = (
        [label, *(f"{run[f'{name}_{size}b_{flows}_us']:.2f}" for size, flows in points)]
        for name, label in LABELS.items()
    )
    return _table(head, rows)


def paced(run: Mapping[str, Any]) -> str:
    """CPU and round trips at each rate; the last row is the load without a relay."""
    head = ["forwarder"]
    for rate in RATES.values():
        head += [f"{rate} /s: CPU, µs", "round trip p50 / p99, µs"]
    rows = [
        [
            label,
            *(
                cell
                for how in RATES
                for cell in (f"{run[f'{name}_{how}_us']:.2f}", _trip(run, name, how))
            ),
        ]
        for name, label in LABELS.items()
    ]
    rows.append(
        ["no relay at all", *(cell for how in RATES for cell in ("", _trip(run, "direct", how)))]
    )
    return _table(head, rows)


def _trip(run: Mapping[str, Any], name: str, how: str) -> str:
    return f"{run[f'{name}_{how}_p50_us']} / {run[f'{name}_{how}_p99_us']}"


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Command line."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    run = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print("\n".join(table(run) for table in (saturated, matrix, paced)))


if __name__ == "__main__":
    main()
