"""Runs one target with coverage guidance: `python -m tests.fuzz NAME [SECONDS]`; without a name, lists all.

It begins with the target's seeds and its corpus (corpora.py); other words behind the name are libFuzzer's.
What it learns is kept in build/fuzz/NAME; an input that breaks the target is written to build/fuzz, and
belongs into tests/fuzz/findings/NAME with the fix.
"""

from __future__ import annotations

import sys

import atheris

from tests.fuzz import corpora

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
    name, words = sys.argv[1], sys.argv[2:]
    target, kept = TARGETS[name], corpora.LEARNED / name
    if not words or words[0].isdigit():
        corpora.write_to(kept, name)
        for number, seed in enumerate(target.seeds()):
            (kept / f"seed-{number}").write_bytes(seed)
        words = [str(kept), f"-max_total_time={words[0] if words else 60}"]
    atheris.Setup(
        [
            f"{sys.executable} -m tests.fuzz {name}",  # that libFuzzer starts again to merge
            *words,
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
