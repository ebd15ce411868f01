"""The picture of a run of the set-up bench: `python -m bench.setup_picture RUN.json OUT.svg`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bench.figures import redraw
from bench.picture import Bar, draw, place

WAYS: Final = {
    "": ("Chromium as it comes", "peer"),
    "snap_": ("with SNAP", "kin"),
    "sped_snap_": ("with SPED and SNAP", "own"),
}
PANELS: Final = (
    ("Round trip of 100 ms: data channel open", "rtt100", "datachannel"),
    ("Round trip of 100 ms: connected", "rtt100", "connected"),
    ("No round trip: data channel open", "rtt0", "datachannel"),
    ("No round trip: connected", "rtt0", "connected"),
)


def bars(run: Mapping[str, Any], delay: str, moment: str) -> list[Bar]:
    """The ways to set up that the run has."""
    found = []
    for way, (label, kind) in WAYS.items():
        plain = "plain_" if delay == "rtt100" and not way else way
        value = run.get(f"{delay}_{plain}{moment}_ms")
        if value is not None:
            found.append(Bar(label, kind, value))
    return found


def picture(run: Mapping[str, Any]) -> str:
    """The SVG, as text."""
    return draw(
        "From the answer to a call, in milliseconds",
        f"Shorter is better. Headless Chromium, medians of {run['calls']} calls each.",
        [(title, bars(run, delay, moment)) for title, delay, moment in PANELS],
        place(run, "python -m bench.setup"),
    )


if __name__ == "__main__":
    redraw(picture, __doc__)
