"""What a bench says at the end: its figures, and of which machine they are."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def machine() -> dict[str, str | int | float]:
    """This one, as busy as it is now: a load above its CPUs makes every figure worse."""
    cpus = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.partition(": ")[2] for line in cpus if line.startswith("model name")), "?")
    return {
        "cpu": model,
        "cpus": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load_average": round(os.getloadavg()[0], 2),
    }


def show(figures: Mapping[str, object], *, as_json: bool, save: Path | None = None) -> None:
    """One flat JSON object and nothing else, or a line for each figure. `save`: a file for the object."""
    if save is not None:
        save.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if as_json:
        print(json.dumps(figures))
        return
    width = max(map(len, figures), default=0)
    for name, value in figures.items():
        print(f"{name:{width}}  {value}")


def redraw(picture: Callable[[dict[str, Any]], str], usage: str | None) -> None:
    """Command line of a picture: `RUN.json OUT.svg`."""
    if len(sys.argv) != 3:
        raise SystemExit(usage)
    run = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    Path(sys.argv[2]).write_text(picture(run), encoding="utf-8")
