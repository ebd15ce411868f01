"""The roster: who lives, by the kernel's word."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from ipc.roster import NotEntered, enter, living
from tests.support.tree import ROOT

_ENTERED = """
import sys
from pathlib import Path
from ipc.roster import enter
enter(Path(sys.argv[1]), int(sys.argv[2]))
print("entered", flush=True)
sys.stdin.read()
"""


@contextmanager
def worker(directory: Path, generation: int) -> Iterator[subprocess.Popen[str]]:
    """A process that is on the roster."""
    with subprocess.Popen(
        [sys.executable, "-c", _ENTERED, directory, str(generation)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "entered\n"
            yield process
        finally:
            process.kill()


def test_everybody_who_lives_is_on_it_in_any_order(tmp_path: Path) -> None:
    assert living(tmp_path) == {}
    with ExitStack() as stack:
        wanted = {
            generation: stack.enter_context(worker(tmp_path, generation)).pid
            for generation in (70, 7, 8, 65_600, 1)
        }
        assert living(tmp_path) == wanted
        os.kill(wanted[7], signal.SIGSTOP)
        assert living(tmp_path) == wanted, "who is stuck lives"
        assert (tmp_path / "roster").stat().st_mode & 0o777 == 0o600


def test_who_is_killed_is_not(tmp_path: Path) -> None:
    with worker(tmp_path, 3) as process:
        process.kill()
        process.wait()
        assert living(tmp_path) == {}


def test_a_number_is_given_once(tmp_path: Path) -> None:
    with worker(tmp_path, 3):
        with pytest.raises(NotEntered, match="another process is number 3"):
            enter(tmp_path, 3)
        os.close(enter(tmp_path, 4))


def test_without_a_directory_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(NotEntered, match="No such file"):
        enter(tmp_path / "absent", 1)
