"""The picture of docs/reliability.md from a saved soak: `python -m bench.soak_picture RUN.json OUT.svg`.

One panel under the other on the same minutes, each from zero, so that what is flat looks flat. Colours come
from classes, so that a page in dark mode shows the picture as dark.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from xml.sax.saxutils import escape

from bench.figures import redraw

PANELS: Final = (
    ("Live calls and flows", "", (("sessions", "sessions"), ("flows", "flows"))),
    (
        "Memory of the largest worker, MB",
        "MB",
        (
            ("relay_mb", "relay"),
            ("transceiver_mb", "transceiver"),
            ("signaling_mb", "signaling"),
        ),
    ),
    (
        "Open descriptors of the largest worker",
        "",
        (
            ("relay_descriptors", "relay"),
            ("transceiver_descriptors", "transceiver"),
            ("signaling_descriptors", "signaling"),
        ),
    ),
    ("Packets lost, of a million", "", (("lost_ppm", "ended calls"),)),
    ("Jitter, 99th percentile, ms", "ms", (("jitter_p99_ms", "ended calls"),)),
)
"""Title, unit, and lines: where they are in the run, and their names."""
WIDTH: Final = 960
_LEFT: Final = 72
_RIGHT: Final = 190
_HIGH: Final = 96
_STEP: Final = 150
_TOP: Final = 104
_APART: Final = 16
_COLOURS: Final = ("own", "peer", "kin")
_STYLE: Final = """\
    .page { fill: #ffffff } .text { fill: #17202c } .note { fill: #5a6675 } .rule { stroke: #dbe1ea }
    .line { fill: none; stroke-width: 2; stroke-linejoin: round }
    .own { stroke: #0a7d62 } .kin { stroke: #d08a1d } .peer { stroke: #5b6fd6 }
    .title { font-size: 21px; font-weight: 650 } .head { font-size: 15px; font-weight: 650 }
    .small { font-size: 12.5px }
    @media (prefers-color-scheme: dark) {
      .page { fill: #0f151d } .text { fill: #e8edf4 } .note { fill: #9aa7b8 } .rule { stroke: #2a3645 }
      .own { stroke: #2fc39c } .kin { stroke: #e6a942 } .peer { stroke: #8494f0 }
    }
"""


class Line(NamedTuple):
    """One of a panel."""

    name: str
    points: tuple[tuple[float, float], ...]
    """Minutes and value."""


def lines(run: Mapping[str, Any], wanted: Sequence[tuple[str, str]]) -> list[Line]:
    """Those that the run has."""
    return [
        Line(name, points)
        for key, name in wanted
        for series in (run["series"], run["batches"])
        if (points := _points(series, key))
    ]


def picture(run: Mapping[str, Any]) -> str:
    """The SVG, as text."""
    panels = [(title, unit, lines(run, wanted)) for title, unit, wanted in PANELS]
    panels = [panel for panel in panels if panel[2]]
    height = _TOP + _STEP * len(panels) + 24
    minutes = run["seconds"] / 60
    spoken = "; ".join(
        f"{title}: " + ", ".join(f"{line.name} {_round(line.points[-1][1])}" for line in rows)
        for title, _, rows in panels
    )
    head = f"{minutes:.0f} minutes of calls that come and go"
    note = (
        f"{run['sessions']} at a time, {run['calls']:,} in all, {run['calls_failed']} failed; "
        f"{run['packets']:,} packets, {run['packets_lost']:,} lost."
    )
    out = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
            "font-family=\"ui-sans-serif, system-ui, 'Segoe UI', Helvetica, Arial, sans-serif\" "
            f'aria-label="{escape(f"{head}. In the end: {spoken}.")}">'
        ),
        f"  <style>\n{_STYLE}  </style>",
        f'  <rect class="page" width="{WIDTH}" height="{height}" rx="14"/>',
        f'  <text class="text title" x="32" y="46">{escape(head)}</text>',
        f'  <text class="note small" x="32" y="70">{escape(note)}</text>',
    ]
    for number, (title, unit, rows) in enumerate(panels):
        out += _panel(title, unit, rows, _TOP + _STEP * number, minutes)
    return "\n".join([*out, "</svg>", ""])


def _panel(
    title: str, unit: str, rows: Sequence[Line], top: float, minutes: float
) -> Iterator[str]:
    most = max(value for line in rows for _, value in line.points) * 1.1 or 1.0
    floor, right = top + 22 + _HIGH, WIDTH - _RIGHT
    yield f'  <text class="text head" x="32" y="{top + 10:g}">{escape(title)}</text>'
    yield f'  <path class="rule" d="M{_LEFT} {floor:g}H{right}M{_LEFT} {top + 22:g}H{right}" fill="none"/>'
    for value, y in ((0.0, floor), (most, top + 22)):
        yield (
            f'  <text class="note small" x="{_LEFT - 8}" y="{y + 4:g}" text-anchor="end">'
            f"{_round(value)}</text>"
        )
    for at, anchor in ((0.0, "start"), (minutes, "end")):
        yield (
            f'  <text class="note small" x="{_x(at, minutes):g}" y="{floor + 15:g}" '
            f'text-anchor="{anchor}">{at:.0f} min</text>'
        )
    below = float("inf")
    ends = []
    for colour, line in zip(_COLOURS, rows, strict=False):
        path = " ".join(
            f"{_x(at, minutes):.1f},{floor - _HIGH * value / most:.1f}" for at, value in line.points
        )
        yield f'  <polyline class="line {colour}" points="{path}"/>'
        ends.append((floor - _HIGH * line.points[-1][1] / most, colour, line))
    for y, colour, line in sorted(ends, key=lambda end: -end[0]):
        below = min(y + 4, below - _APART)
        last = f"{line.name} {_round(line.points[-1][1])} {unit}".strip()
        yield f'  <path class="line {colour}" d="M{right + 8} {below - 4:g}h10"/>'
        yield f'  <text class="text small" x="{right + 24}" y="{below:g}">{escape(last)}</text>'


def _points(series: Mapping[str, Sequence[float]], key: str) -> tuple[tuple[float, float], ...]:
    values = series.get(key, ())
    return tuple((at / 60, value) for at, value in zip(series["at"], values, strict=False))


def _x(at: float, minutes: float) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * min(1.0, at / minutes)


def _round(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.1f}"


if __name__ == "__main__":
    redraw(picture, __doc__)
