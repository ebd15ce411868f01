"""What a supervisor starts with: the operator's file, or what was in force when another one died."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.supervisor.in_force import InForce, begin
from config.model import Config
from config.problems import ConfigError
from tests.ipc.test_roster import worker


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    (tmp_path / "workers").mkdir()
    return tmp_path


def test_it_is_kept_read_and_forgotten(tmp_path: Path) -> None:
    kept = InForce(tmp_path)
    assert kept.read() is None
    config = Config.model_validate({"relay": {"flow_idle": 77.0}})
    kept.keep(config)
    assert InForce(tmp_path).read() == config
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text("= damaged")
    assert kept.read() is None
    file.write_text("[relay]\nworkers = 0\n[transceiver]\nworkers = 0\n")
    assert kept.read() is None
    file.write_text("[relay]\nflow_idle = 77.0\nwings = 2  # of a newer version\n")
    assert kept.read() == config
    kept.forget()
    kept.forget()
    assert kept.read() is None


def test_with_living_workers_what_was_in_force_goes_on(runtime: Path) -> None:
    InForce(runtime).keep(Config.model_validate({"relay": {"flow_idle": 77.0}}))
    file = runtime / "tandem.toml"
    file.write_text("[relay]\nwrokers = 1\n")
    with worker(runtime / "workers", 5):
        beginning = begin(file)
        assert beginning.continues
        assert beginning.config.relay.flow_idle == 77.0
    with pytest.raises(ConfigError):
        begin(file)
    file.write_text("[relay]\nworkers = 3\n")
    beginning = begin(file)
    assert not beginning.continues
    assert beginning.config.relay.workers == 3


def test_without_what_was_in_force_the_file_counts(runtime: Path) -> None:
    with worker(runtime / "workers", 5):
        assert not begin(None).continues


def test_a_directory_that_is_not_ours_is_left_to_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", os.fspath(tmp_path / "absent"))
    assert not begin(None).continues
