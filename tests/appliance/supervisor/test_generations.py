"""Numbers that are given once, whatever happens to the supervisor."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.supervisor.generations import RESERVE, Generations
from appliance.supervisor.problems import CannotStart


def test_goes_on_where_the_last_one_stopped(tmp_path: Path) -> None:
    first = Generations(tmp_path)
    start = first.next
    first.keep(start)
    first.keep(start + 1)
    assert Generations(tmp_path).next >= start + 2
    assert not first.was_lost


def test_not_every_number_costs_a_write_but_none_is_given_twice(tmp_path: Path) -> None:
    first = Generations(tmp_path)
    start = first.next
    written = set()
    for generation in range(start, start + 2 * RESERVE):
        first.keep(generation)
        written.add((tmp_path / "generation").read_text())
        assert Generations(tmp_path).next > generation
    assert len(written) == 2


def test_a_first_start_is_no_loss_and_a_number(tmp_path: Path) -> None:
    assert 1 <= Generations(tmp_path).next <= 0x1_0000


def test_a_damaged_count_is_said(tmp_path: Path) -> None:
    (tmp_path / "generation").write_bytes(b"\xff\x00")
    assert Generations(tmp_path).was_lost
    (tmp_path / "generation").write_text("ten")
    assert Generations(tmp_path).was_lost


def test_a_count_that_cannot_be_read_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "generation").mkdir()
    with pytest.raises(CannotStart, match="generation"):
        Generations(tmp_path)


def test_a_count_that_cannot_be_kept_is_an_error(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    generations = Generations(state)
    state.rmdir()
    with pytest.raises(OSError, match="generation"):
        generations.keep(5)
