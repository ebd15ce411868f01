from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance.cli.main import main
from config.load import load
from config.model import Config


@pytest.fixture
def good(tmp_path: Path) -> Path:
    file = tmp_path / "good.toml"
    file.write_text('[relay]\nlisten = ["127.0.0.1:4000"]\n')
    return file


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    file = tmp_path / "bad.toml"
    file.write_text("[relay]\nworker = 1\n\n[log]\nlevel = 'loud'\n")
    return file


def test_check_says_ok(good: Path) -> None:
    result = CliRunner().invoke(main, ["config", "check", str(good)])
    assert result.exit_code == 0
    assert result.stdout == f"{good}: ok\n"


@pytest.mark.parametrize("verb", ["check", "show"])
def test_every_problem_is_printed(bad: Path, verb: str) -> None:
    result = CliRunner().invoke(main, ["config", verb, str(bad)])
    assert result.exit_code == 78
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        f"{bad}:2: relay.worker: unknown key; did you mean relay.workers?",
        f"{bad}:5: log.level: must be debug, info, warning or error, got 'loud'",
    ]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["config", "check", str(tmp_path / "no.toml")])
    assert result.exit_code == 78
    assert result.stderr == f"{tmp_path}/no.toml: cannot be read: No such file or directory\n"


def test_check_without_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("appliance.cli.settings.DEFAULT_FILE", tmp_path / "none")
    result = CliRunner().invoke(main, ["config", "check"])
    assert result.exit_code == 0
    assert "built-in defaults" in result.stdout


def test_show_prints_a_file_that_means_the_same(good: Path) -> None:
    result = CliRunner().invoke(main, ["config", "show", str(good)])
    assert result.exit_code == 0
    assert load(result.stdout, source="shown") == load(good.read_text(), source="good")
    assert set(tomllib.loads(result.stdout)) == set(Config.model_fields)


def test_show_as_json(good: Path) -> None:
    result = CliRunner().invoke(main, ["config", "show", "--json", str(good)])
    found = json.loads(result.stdout)
    assert found["relay"]["listen"] == ["127.0.0.1:4000"]
    assert found["log"]["level"] == "info"
