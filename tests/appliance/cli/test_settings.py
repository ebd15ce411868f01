from __future__ import annotations

from pathlib import Path

import pytest

from appliance.cli import settings
from appliance.cli.failure import Failed
from appliance.cli.settings import find_file, read_config
from config.model import Config


def lines_of(file: Path) -> tuple[str, ...]:
    with pytest.raises(Failed) as caught:
        read_config(file)
    assert caught.value.exit_code == 78
    return caught.value.lines


def test_no_file_is_the_defaults() -> None:
    assert read_config(None) == Config()


def test_a_file_that_is_named_is_meant(tmp_path: Path) -> None:
    assert find_file(tmp_path / "x.toml") == tmp_path / "x.toml"


def test_the_systems_file_is_taken_if_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tandem.toml"
    monkeypatch.setattr(settings, "DEFAULT_FILE", file)
    assert find_file(None) is None
    file.write_text("[relay]\nworkers = 2\n")
    assert find_file(None) == file
    assert read_config(file).relay.workers == 2


def test_every_problem_is_a_line(tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.write_text("[relay]\nworkers = 'x'\nlisten = []\n")
    assert lines_of(file) == (
        f"{file}:2: relay.workers: must be \"auto\" or a whole number, 0 to 256, got 'x'",
        f"{file}:3: relay.listen: must have at least one address",
    )


def test_a_missing_file(tmp_path: Path) -> None:
    assert lines_of(tmp_path / "no") == (
        f"{tmp_path}/no: cannot be read: No such file or directory",
    )


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    assert lines_of(tmp_path) == (f"{tmp_path}: cannot be read: Is a directory",)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.write_bytes(b"[relay]\n# caf\xe9\n")
    assert lines_of(file) == (f"{file}:2: byte 0xe9 is not UTF-8 text",)
