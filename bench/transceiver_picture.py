"""The picture of a run of bench.transceiver: `python -m bench.transceiver_picture RUN.json OUT.svg`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bench.figures import redraw
from bench.picture import Bar, draw, place

LABELS: Final = {"tandem": "Tandem", "pion": "Pion", "janus": "Janus", "aiortc": "aiortc"}
PANELS: Final = (
    ("CPU per echoed packet, 50 calls, µs: shorter is better", "us_per_echo", 1),
    ("CPU per echoed packet, 200 calls, µs: shorter is better", "us_per_echo_200", 1),
    ("Memory per session, KB: shorter is better", "kb_per_session", 0),
    ("CPU of the process for a set-up, ms: shorter is better", "setup_cpu_ms", 1),
    ("Calls on one core with less than 0.1 % lost, at least: longer is better", "capacity", 0),
)


def figure(run: Mapping[str, Any], name: str, field: str) -> float | None:
    """One contender's, if the run has it."""
    # Tandem's turns begin after larger loads have grown it, so its memory is that of 300 calls.
    key = field if (name, field) == ("tandem", "kb_per_session") else f"{name}_{field}"
    return run.get(key)


def bars(run: Mapping[str, Any], field: str, digits: int) -> list[Bar]:
    """All contenders that have it, Tandem first."""
    return [
        Bar(label, "own" if name == "tandem" else "peer", value, digits)
        for name, label in LABELS.items()
        if (value := figure(run, name, field)) is not None
    ]


def picture(run: Mapping[str, Any]) -> str:
    """The SVG, as text."""
    panels = [(title, bars(run, field, digits)) for title, field, digits in PANELS]
    return draw(
        "Echoing calls: the transceiver beside its peers",
        "50 Opus packets a second and call, one core for all contenders in turn; medians of one run.",
        # One bar alone compares nothing.
        [(title, rows) for title, rows in panels if len(rows) > 1],
        place(run, "python -m bench.transceiver"),
    )


if __name__ == "__main__":
    redraw(picture, __doc__)
