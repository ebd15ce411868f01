"""What is installed is asked, in a process of its own, before anything lets go."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from appliance.supervisor import preflight
from appliance.supervisor.preflight import Installed, examine, installed
from ipc.messages.lifecycle import PROTOCOL_VERSION
from ipc.release import release


def test_what_this_code_says_of_itself(tmp_path: Path) -> None:
    assert examine(None) == Installed(release(), PROTOCOL_VERSION)
    bad = tmp_path / "bad.toml"
    bad.write_text("[relay]\nworker = 1\n")
    found = examine(bad)
    assert found.release == release()
    assert found.problems == (f"{bad}:2: relay.worker: unknown key; did you mean relay.workers?",)


async def test_a_process_says_the_same(tmp_path: Path) -> None:
    good = tmp_path / "good.toml"
    good.write_text("[relay]\nworkers = 1\n")
    assert await installed(good, dict(os.environ)) == examine(good)


async def test_code_that_does_not_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'SyntaxError: no' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    found = await installed(None, {})
    assert found.problems == ("it does not start: SyntaxError: no",)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    found = await installed(None, {})
    assert found.problems == (f"{tmp_path}/none: No such file or directory",)


async def test_code_that_says_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hangs = tmp_path / "python"
    hangs.write_text("#!/bin/sh\nexec sleep 60\n")
    hangs.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(hangs))
    monkeypatch.setattr(preflight, "WITHIN", 0.2)
    assert (await installed(None, {"PATH": os.environ["PATH"]})).problems
