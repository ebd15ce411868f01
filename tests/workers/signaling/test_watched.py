"""A file that others change: what it says counts at once, and what cannot be read does no harm."""

from __future__ import annotations

import os
from pathlib import Path

import structlog
from structlog.testing import capture_logs

from workers.signaling.watched import Watched


def number(path: Path) -> int:
    return int(path.read_text(encoding="utf-8"))


def watched(path: Path) -> Watched[int]:
    return Watched(path, number, without=-1, log=structlog.get_logger(), what="numbers")


def test_what_it_says_now(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("1")
    it = watched(file)
    assert it.now() == 1
    file.write_text("22")
    assert it.now() == 22
    other = tmp_path / "other"
    other.write_text("33")
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    other.replace(file)  # as large, as old
    assert it.now() == 33


def test_one_line_for_each_state_that_cannot_be_used(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with capture_logs() as logs:
        it = watched(file)
        assert it.now() == -1
        file.write_text("5")
        assert it.now() == 5
        file.write_text("six")
        assert it.now() == it.now() == 5
        file.unlink()
        assert it.now() == it.now() == 5
    assert [line["why"] for line in logs] == [
        "No such file or directory",
        "invalid literal for int() with base 10: 'six'",
        "No such file or directory",
    ]
