from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from appliance.cli.commands import run
from appliance.cli.main import main
from appliance.supervisor.in_force import Beginning
from config.model import Config


class Supervisor:
    """Notes what it is asked to run, says that it is ready, and ends with `code`."""

    def __init__(self, code: int = 0) -> None:
        self.code = code
        self.config: Config | None = None
        self.config_path: Path | None = None

    def run(
        self, beginning: Beginning, *, config_path: Path | None, on_ready: Callable[[str], None]
    ) -> int:
        self.config, self.config_path = beginning.config, config_path
        on_ready("http://127.0.0.1:8080/")
        return self.code


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Supervisor:
    stand_in = Supervisor()
    # Where nobody is: an appliance that runs on this machine would be adopted, with its configuration.
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(run, "run", stand_in.run)
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setattr("sys.argv", [".venv/bin/tandem", "run"])
    monkeypatch.setattr("shutil.which", lambda name: None)
    return stand_in


def test_it_runs_the_file_and_greets_with_addresses(started: Supervisor, tmp_path: Path) -> None:
    file = tmp_path / "my tandem.toml"
    file.write_text("[relay]\nworkers = 3\n")
    result = CliRunner().invoke(main, ["run", "-c", str(file)])
    assert result.exit_code == 0
    assert started.config is not None
    assert started.config.relay.workers == 3
    assert started.config_path == file
    assert "page     http://127.0.0.1:8080/\n" in result.stdout
    assert (
        "    try      .venv/bin/tandem call http://127.0.0.1:8080/v1/realtime/calls\n"
        in result.stdout
    )
    assert f".venv/bin/tandem status -c '{file}'" in result.stdout


def test_without_a_file_the_defaults_run(
    started: Supervisor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("appliance.cli.settings.DEFAULT_FILE", tmp_path / "none")
    result = CliRunner().invoke(main, ["run"])
    assert result.exit_code == 0
    assert started.config == Config()
    assert started.config_path is None
    assert "watch    .venv/bin/tandem status\n" in result.stdout


def test_on_the_path_its_name_is_enough(
    started: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    assert "watch    tandem status\n" in CliRunner().invoke(main, ["run"]).stdout


@pytest.mark.parametrize("code", [0, 69, 70, 78])
def test_the_exit_code_is_the_supervisors(started: Supervisor, code: int) -> None:
    started.code = code
    assert CliRunner().invoke(main, ["run"]).exit_code == code


def test_systemd_needs_no_greeting(started: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    assert CliRunner().invoke(main, ["run"]).stdout == ""


def test_nobody_reading_the_greeting_ends_nothing(
    started: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("click.echo", refuse)
    assert CliRunner().invoke(main, ["run"]).exit_code == 0


def test_a_bad_file_starts_nothing(started: Supervisor, tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.write_text("[relay]\nworkers = 'x'\nlisten = []\n")
    result = CliRunner().invoke(main, ["run", "-c", str(file)])
    assert result.exit_code == 78
    assert len(result.stderr.splitlines()) == 2
    assert started.config is None
