"""The picture of docs/performance.md from a saved run: `python -m bench.picture RUN.json OUT.svg`.

Bars of CPU per datagram, saturated and paced, Tandem's in its own colour. Colours come from classes, so
that a page in dark mode shows the picture as dark.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from xml.sax.saxutils import escape

from bench.figures import redraw

LABELS: Final = {
    "tandem_native": "Tandem",
    "tandem_python": "Tandem, Python datapath",
    "c_pack": "bare C, packing",
    "c_mmsg": "bare C, recvmmsg",
    "coturn": "coturn",
    "nginx": "nginx stream",
}
PANELS: Final = (
    ("Saturated", "", ("tandem_native", "c_pack", "c_mmsg", "tandem_python", "nginx", "coturn")),
    ("20 000 datagrams/s each way", "_20k", ("tandem_native", "c_pack", "c_mmsg", "coturn")),
    ("5 000 datagrams/s each way", "_5k", ("tandem_native", "c_pack", "c_mmsg", "coturn")),
)
WIDTH: Final = 960
_LEFT: Final = 232
_RIGHT: Final = 88
_ROW: Final = 30
_BAR: Final = 18
_STYLE: Final = """\
    .page { fill: #ffffff } .text { fill: #17202c } .note { fill: #5a6675 } .rule { stroke: #dbe1ea }
    .own { fill: #0a7d62 } .kin { fill: #7cc4b1 } .bare { fill: #9aa5b4 } .peer { fill: #5b6fd6 }
    .title { font-size: 21px; font-weight: 650 } .head { font-size: 15px; font-weight: 650 }
    .name { font-size: 14px } .value { font-size: 14px; font-weight: 600 } .small { font-size: 12.5px }
    .first { font-weight: 650 }
    @media (prefers-color-scheme: dark) {
      .page { fill: #0f151d } .text { fill: #e8edf4 } .note { fill: #9aa7b8 } .rule { stroke: #2a3645 }
      .own { fill: #2fc39c } .kin { fill: #1d7a63 } .bare { fill: #66748a } .peer { fill: #8494f0 }
    }
"""


class Bar(NamedTuple):
    """One row."""

    label: str
    kind: str
    value: float
    digits: int = 1

    @property
    def said(self) -> str:
        """The value in figures."""
        return f"{self.value:,.{self.digits}f}".replace(",", " ")


def bars(run: Mapping[str, Any], suffix: str, names: Sequence[str]) -> list[Bar]:
    """Those that the run has, in the order given."""
    kinds = {"tandem_native": "own", "tandem_python": "kin", "c_pack": "bare", "c_mmsg": "bare"}
    return [
        Bar(LABELS[name], kinds.get(name, "peer"), run[f"{name}{suffix}_us"])
        for name in names
        if f"{name}{suffix}_us" in run
    ]


def draw(title: str, note: str, panels: Sequence[tuple[str, Sequence[Bar]]], foot: str) -> str:
    """The SVG, as text: a panel of bars for each that has any."""
    panels = [(head, rows) for head, rows in panels if rows]
    height = 104 + sum(52 + _ROW * len(rows) for _, rows in panels) + 26
    spoken = "; ".join(
        f"{head}: " + ", ".join(f"{row.label} {row.said}" for row in rows) for head, rows in panels
    )
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
            "font-family=\"ui-sans-serif, system-ui, 'Segoe UI', Helvetica, Arial, sans-serif\" "
            f'aria-label="{escape(f"{title}. {spoken}.")}">'
        ),
        f"  <style>\n{_STYLE}  </style>",
        f'  <rect class="page" width="{WIDTH}" height="{height}" rx="14"/>',
        f'  <text class="text title" x="32" y="46">{escape(title)}</text>',
        f'  <text class="note small" x="32" y="70">{escape(note)}</text>',
    ]
    y = 104.0
    for head, rows in panels:
        lines += _panel(head, rows, y)
        y += 52 + _ROW * len(rows)
    lines.append(f'  <text class="note small" x="32" y="{height - 18}">{escape(foot)}</text>')
    return "\n".join([*lines, "</svg>", ""])


def place(run: Mapping[str, Any], command: str) -> str:
    """The foot: whose figures these are."""
    busy = f", load average {run['load_average']}" if "load_average" in run else ""
    return f"{run['cpu']}, {run['cpus']} CPUs{busy}, Linux {run['kernel']}; {command}"


def picture(run: Mapping[str, Any]) -> str:
    """The relay's, as text."""
    return draw(
        "CPU per forwarded datagram, in microseconds",
        f"Shorter is better. {run['payload']} bytes, {run['flows']} flows, one core each in turn; "
        "medians of one run.",
        [(title, bars(run, suffix, names)) for title, suffix, names in PANELS],
        place(run, "python -m bench.relay"),
    )


def _panel(title: str, rows: Sequence[Bar], y: float) -> Iterator[str]:
    most = max(row.value for row in rows) or 1.0
    yield f'  <text class="text head" x="32" y="{y + 14:g}">{escape(title)}</text>'
    yield f'  <path class="rule" d="M32 {y + 24:g}H{WIDTH - 32}" fill="none"/>'
    for number, row in enumerate(rows):
        top = y + 36 + _ROW * number
        middle = top + _BAR / 2 + 5
        length = max(2.0, (WIDTH - _LEFT - _RIGHT) * row.value / most)
        first = " first" if row.kind == "own" else ""
        yield (
            f'  <text class="text name{first}" x="{_LEFT - 14}" y="{middle:g}" text-anchor="end">'
            f"{escape(row.label)}</text>"
        )
        yield (
            f'  <rect class="{row.kind}" x="{_LEFT}" y="{top:g}" width="{length:.1f}" '
            f'height="{_BAR}" rx="3"/>'
        )
        yield (
            f'  <text class="text value" x="{_LEFT + length + 9:.1f}" y="{middle:g}">'
            f"{row.said}</text>"
        )


if __name__ == "__main__":
    redraw(picture, __doc__)
