"""What runs have found worth beginning with: `python -m tests.fuzz.corpora NAME...`.

A file a target, an input a line, in base64, the shortest first. The command takes what a run has learned in
build/fuzz/NAME (of C in c-NAME), leaves out what reaches nothing new, and keeps the shortest of the rest.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Iterable
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
CORPORA: Final = Path(__file__).with_name("corpora")
LEARNED: Final = ROOT / "build" / "fuzz"
MOST_BYTES: Final = 12_000
"""Of a target."""
MOST: Final = 64
SLOW: Final = {"session": 12, "house": 8}
"""Those of which `make test` can run few."""


def read(name: str) -> list[bytes]:
    """The inputs of a target; none if nothing was kept."""
    file = CORPORA / f"{name}.txt"
    if not file.exists():
        return []
    return [b64decode(line) for line in file.read_text(encoding="ascii").splitlines()]


def write_to(directory: Path, name: str) -> None:
    """Where libFuzzer looks for them."""
    directory.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(read(name)):
        (directory / f"kept-{number}").write_bytes(data)


def shortest(inputs: Iterable[bytes], most: int) -> list[bytes]:
    """Of inputs those that fit."""
    found: list[bytes] = []
    room = MOST_BYTES
    for data in sorted(set(inputs), key=lambda data: (len(data), data)):
        room -= len(data)
        if not data or room < 0 or len(found) == most:
            continue
        found.append(data)
    return found


def _minimised(name: str) -> list[bytes]:
    with tempfile.TemporaryDirectory() as fresh:
        if name.startswith("c-"):
            command = [str(ROOT / "build" / f"guided-{name[2:]}")]
        else:
            command = [sys.executable, "-m", "tests.fuzz", name]
        command += ["-merge=1", fresh, str(LEARNED / name)]
        subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
        return [file.read_bytes() for file in Path(fresh).iterdir()]


def main() -> None:
    """Write them anew."""
    CORPORA.mkdir(exist_ok=True)
    for name in sys.argv[1:]:
        kept = shortest(_minimised(name), SLOW.get(name, MOST))
        lines = [b64encode(data).decode() + "\n" for data in kept]
        (CORPORA / f"{name}.txt").write_text("".join(lines), encoding="ascii")
        print(f"{name}: {len(kept)} inputs, {sum(map(len, kept)):,} bytes")


if __name__ == "__main__":
    main()
