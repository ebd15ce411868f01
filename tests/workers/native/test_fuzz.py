"""The C under sanitizers, with random traffic, commands, deaths and damage: fuzz.c, fuzz_media.c; and what
guided_relay.c, guided_media.c and guided_calls.c begin with, have found, and make of a little damage.

`make fuzz-native MINUTES=n` goes on for longer, with other seeds, and coverage-guided.
"""

from __future__ import annotations

import shutil
import subprocess
from itertools import product
from pathlib import Path
from random import Random

import pytest

from tests.workers.native.seeds import SEEDS

HERE = Path(__file__).parent
NATIVE = HERE.parents[2] / "workers" / "native"
SOURCES = {
    "relay": [HERE / "fuzz.c", NATIVE / "fastpath.c", NATIVE / "life.c"],
    "media": [HERE / "fuzz_media.c", *sorted(NATIVE.glob("media*.c"))],
}
SANITIZERS = ["address,undefined", "thread"]
FLAGS = ["-O1", "-g", "-pthread", "-fno-sanitize-recover=all"]
FLAGS += ["-DREMOVAL_SHARE=7", "-DFLOW_MOST=9"]
SMALL = ["-DALONE", "-DRING_BYTES=131072", "-DEVENT_BYTES=262144", "-DCOMMAND_BYTES=131072"]
FINDINGS = HERE / "findings"
DAMAGED = 150


def _built(program: Path, arguments: list[str]) -> str:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here")
    command = [compiler, *FLAGS, *arguments, "-o", str(program), "-lm"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode and "cannot find" in built.stderr:
        pytest.skip("this compiler has no sanitizers")
    assert built.returncode == 0, built.stderr
    return str(program)


@pytest.fixture(scope="module", params=product(SOURCES, SANITIZERS), ids="-".join)
def fuzz(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that runs it with that sanitizer."""
    what, sanitizer = request.param
    sources = map(str, SOURCES[what])
    program = _built(
        tmp_path_factory.mktemp("fuzz") / "fuzz", [f"-fsanitize={sanitizer}", *sources]
    )
    return [program, "thread" if sanitizer == "thread" else ""]


@pytest.mark.process
@pytest.mark.parametrize("seed", range(1, 4))
def test_nothing_shakes_it(fuzz: list[str], seed: int) -> None:
    program, thread = fuzz
    rounds = "200" if thread else "1500"
    command = [program, str(seed), rounds, *([thread] if thread else [])]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (run.returncode, run.stderr, run.stdout) == (0, "", f"{rounds} rounds\n")


@pytest.mark.process
@pytest.mark.parametrize("name", SEEDS)
def test_guided_inputs_and_what_was_found(name: str, tmp_path: Path) -> None:
    source = str(HERE / f"guided_{name}.c")
    program = _built(tmp_path / name, ["-fsanitize=address,undefined", *SMALL, source])
    seeds, random = SEEDS[name](), Random(name)
    inputs = [*seeds, *(file.read_bytes() for file in sorted((FINDINGS / name).glob("*")))]
    for _ in range(DAMAGED):
        data = bytearray(random.choice(seeds) + random.choice(seeds))
        for _ in range(random.randint(1, 8)):
            data[random.randrange(len(data))] = random.randrange(256)
        inputs.append(bytes(data))
    files = [tmp_path / f"{number}" for number in range(len(inputs))]
    for file, each in zip(files, inputs, strict=True):
        file.write_bytes(each)
    command = [program, *map(str, files)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == f"{len(inputs)} inputs\n"
