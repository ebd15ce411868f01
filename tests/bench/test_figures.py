from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.figures import machine, show


def test_as_json_it_is_one_object_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    figures = {"one": 1, **machine()}
    show(figures, as_json=True)
    assert json.loads(capsys.readouterr().out) == figures


def test_for_people_it_is_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    show({"a": 1, "longer": 2.5}, as_json=False)
    assert capsys.readouterr().out == "a       1\nlonger  2.5\n"


def test_what_is_saved_can_be_read_again(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    show({"a": 1}, as_json=True, save=file)
    assert json.loads(file.read_text()) == {"a": 1}
