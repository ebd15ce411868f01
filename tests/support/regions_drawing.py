"""Draws the three regions with what they measure: `python -m tests.support.regions_drawing OUT.svg`.

First hops are medians of five TCP handshakes from the client's namespace, set-ups medians of CALLS calls of
`tandem call`: over the near site, and with the near site cut off. It needs root, as the scenario does.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from tests.support.regions import HOST, WAYS, Regions, report_of, three_regions

CALLS: Final = 5
PHASES: Final = ("http", "connected", "setup")
_WITHIN: Final = 30.0
_PLACES: Final = {"home": (120, 250), "eu": (330, 120), "us": (620, 250), "ap": (330, 380)}
_LABELS: Final = {"home>us": 0.3, "eu>ap": 0.75}
"""How far along a way its round trip is written."""
_NAMES: Final = {
    "home": ("client", "Frankfurt, behind a NAT"),
    "eu": ("eu", "Global Relay"),
    "us": ("us", "signaling, cluster 2"),
    "ap": ("ap", "Global Relay"),
}
_STYLE: Final = """\
    .page { fill: #ffffff } .text { fill: #17202c } .note { fill: #5a6675 }
    .box { fill: #f3f6fa; stroke: #9aa5b4 }
    .own { stroke: #0a7d62 } .wan { stroke: #9aa5b4; stroke-dasharray: 5 4 } .taken { stroke-width: 3 }
    .title { font-size: 20px; font-weight: 650 } .name { font-size: 15px; font-weight: 650 }
    .small { font-size: 12.5px }
    @media (prefers-color-scheme: dark) {
      .page { fill: #0f151d } .text { fill: #e8edf4 } .note { fill: #9aa7b8 }
      .box { fill: #18212d; stroke: #66748a } .own { stroke: #2fc39c } .wan { stroke: #66748a }
    }
"""


class Measured(NamedTuple):
    """Milliseconds."""

    first_hops: dict[str, float]
    near: dict[str, float]
    """Phase of set-up -> what it took over the near site."""
    cut: dict[str, float]
    """The same with the near site cut off."""


def measure() -> Measured:
    """Run the world."""
    with three_regions() as regions:
        hops = {region: 1000 * regions.first_hop(region) for region in HOST}
        near = _set_up(regions, "eu")
        regions.internet.change(ways={"home>eu": {"cut": True}})
        return Measured(hops, near, _set_up(regions, "us"))


def _set_up(regions: Regions, through: str) -> dict[str, float]:
    found: dict[str, list[float]] = {phase: [] for phase in PHASES}
    for _ in range(CALLS):
        call = regions.call()
        _until(lambda: regions.relays_in_use() == [through])
        report = report_of(call)
        for phase, taken in found.items():
            taken.append(report[f"{phase}_p50_ms"])
        _until(lambda: not regions.sessions().rows)
    return {phase: statistics.median(taken) for phase, taken in found.items()}


def _until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + _WITHIN
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("the calls do not go as they should")
        time.sleep(0.05)


def draw(measured: Measured) -> str:
    """The drawing as SVG."""
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 470" font-family="sans-serif">',
        f"  <style>\n{_STYLE}  </style>",
        '  <rect class="page" width="960" height="470"/>',
        _text(24, 36, "Three regions, one client in Europe", "title text"),
        _text(
            24,
            58,
            "round trips of the WAN; dashed: public, solid: the operator's own; thick: the way of media",
            "small note",
        ),
    ]
    for way, weather in WAYS.items():
        a, _, b = way.partition(">")
        if b not in _PLACES:
            continue
        (ax, ay), (bx, by) = _PLACES[a], _PLACES[b]
        kind = "wan" if a == "home" else "own"
        taken = " taken" if way in ("home>eu", "eu>us") else ""
        lines.append(
            f'  <line class="{kind}{taken}" x1="{ax}" y1="{ay}" x2="{bx}" y2="{by}" fill="none"/>'
        )
        along = _LABELS.get(way, 0.5)
        x, y = ax + along * (bx - ax), ay + along * (by - ay)
        lines.append(
            f'  <rect class="page" x="{x - 27:.0f}" y="{y - 10:.0f}" width="54" height="20"/>'
        )
        lines.append(_text(x, y + 4, f"{2000 * weather['delay']:.0f} ms", "small note", "middle"))
    for place, (x, y) in _PLACES.items():
        name, what = _NAMES[place]
        lines += [
            f'  <rect class="box" x="{x - 78}" y="{y - 26}" width="156" height="52" rx="8"/>',
            _text(x, y - 4, name, "name text", "middle"),
            _text(x, y + 14, what, "small note", "middle"),
        ]
    lines += _table(measured)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _table(measured: Measured) -> list[str]:
    rows = [
        ("first hop", ""),
        *((f"  to {region}", f"{ms:.0f} ms") for region, ms in measured.first_hops.items()),
        ("set-up over eu", ""),
        ("  offer to answer", f"{measured.near['http']:.0f} ms"),
        ("  answer to connected", f"{measured.near['connected']:.0f} ms"),
        ("  offer to first frame back", f"{measured.near['setup']:.0f} ms"),
        ("set-up with eu cut off: over us", ""),
        ("  answer to connected", f"{measured.cut['connected']:.0f} ms"),
        ("  offer to first frame back", f"{measured.cut['setup']:.0f} ms"),
    ]
    lines = []
    for n, (name, value) in enumerate(rows):
        y, indented = 130 + 24 * n, name.startswith("  ")
        kind = "small note" if indented else "name text"
        lines.append(_text(726 + 10 * indented, y, name.strip(), kind))
        if value:
            lines.append(_text(940, y, value, "small text", "end"))
    return lines


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    return f'  <text class="{kind}" x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{text}</text>'


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(draw(measure()), encoding="utf-8")
