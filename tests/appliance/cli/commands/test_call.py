"""`tandem call` becomes another program: seen from outside."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def tandem(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    program = "from appliance.cli.main import main; main(prog_name='tandem')"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
    )


@pytest.mark.parametrize("arguments", [("-h",), ("--help",)])
def test_help_is_the_callers(arguments: tuple[str, ...]) -> None:
    done = tandem("call", *arguments)
    assert done.returncode == 0
    for option in ("--count", "--seconds", "--wav", "--json"):
        assert option in done.stdout


def test_options_reach_the_caller() -> None:
    done = tandem("call", "http://127.0.0.1:9/", "--count", "none")
    assert done.returncode == 2
    assert "'none'" in done.stderr


def test_the_current_directory_lends_no_modules(tmp_path: Path) -> None:
    (tmp_path / "workers.py").write_text("raise SystemExit('shadowed')")
    (tmp_path / "json.py").write_text("raise SystemExit('shadowed')")
    program = Path(sys.executable).with_name("tandem")
    if not program.exists():
        pytest.skip("tandem is not installed in this environment")
    done = subprocess.run(
        [program, "call", "--help"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0
    assert "shadowed" not in done.stderr


def test_without_a_url_it_is_wrong_usage() -> None:
    done = tandem("call")
    assert done.returncode == 2
    assert "Missing argument 'URL'" in done.stderr
