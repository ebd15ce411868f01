"""The C under sanitizers, with random traffic, commands, deaths and damage: fuzz.c, fuzz_media.c.

`make fuzz-native MINUTES=n` goes on for longer, with other seeds.
"""

from __future__ import annotations

import shutil
import subprocess
from itertools import product
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NATIVE = HERE.parents[2] / "workers" / "native"
SOURCES = {
    "relay": [HERE / "fuzz.c", NATIVE / "fastpath.c", NATIVE / "life.c"],
    "media": [HERE / "fuzz_media.c", *sorted(NATIVE.glob("media*.c"))],
}
SANITIZERS = ["address,undefined", "thread"]
FLAGS = ["-O1", "-g", "-pthread", "-fno-sanitize-recover=all", "-DREMOVAL_SHARE=7"]


@pytest.fixture(scope="module", params=product(SOURCES, SANITIZERS), ids="-".join)
def fuzz(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that runs it with that sanitizer."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here")
    program = tmp_path_factory.mktemp("fuzz") / "fuzz"
    what, sanitizer = request.param
    sources = map(str, SOURCES[what])
    arguments = [f"-fsanitize={sanitizer}", *FLAGS, *sources, "-o", str(program)]
    built = subprocess.run([compiler, *arguments], capture_output=True, text=True, check=False)
    if built.returncode and "cannot find" in built.stderr:
        pytest.skip("this compiler has no sanitizers")
    assert built.returncode == 0, built.stderr
    return [str(program), "thread" if sanitizer == "thread" else ""]


@pytest.mark.process
@pytest.mark.parametrize("seed", range(1, 4))
def test_nothing_shakes_it(fuzz: list[str], seed: int) -> None:
    program, thread = fuzz
    rounds = "200" if thread else "1500"
    command = [program, str(seed), rounds, *([thread] if thread else [])]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (run.returncode, run.stderr, run.stdout) == (0, "", f"{rounds} rounds\n")
