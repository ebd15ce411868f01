"""Runs one target with coverage guidance: `python -m tests.fuzz NAME [SECONDS]`; without a name, lists all.

What it learns is kept in build/fuzz/NAME; an input that breaks the target is written to build/fuzz, and
belongs into tests/fuzz/findings/NAME with the fix.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parents[2]
LONGEST = {
    "admission": 8192,
    "sdp": 8192,
    "multipart": 8192,
    "realtime": 8192,
    "config": 2048,
    "session": 4096,
    "association": 4096,
    "house": 256,
}

with atheris.instrument_imports(include=["workers", "config", "ipc"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Fuzz until the time is over."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit("usage: python -m tests.fuzz NAME [SECONDS]\nnames: " + " ".join(TARGETS))
    name, seconds = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "60"
    target, kept = TARGETS[name], ROOT / "build" / "fuzz" / name
    kept.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (kept / f"seed-{number}").write_bytes(seed)
    atheris.Setup(
        [
            sys.argv[0],
            str(kept),
            f"-max_total_time={seconds}",
            f"-max_len={LONGEST.get(name, 1500)}",
            "-timeout=10",
            "-rss_limit_mb=1024",
            "-print_final_stats=1",
            f"-artifact_prefix={kept.parent}/{name}-",
        ],
        target.run,
    )
    atheris.Fuzz()


main()
