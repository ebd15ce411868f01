"""A temporary directory with a short name: a socket file's path has at most 107 bytes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def short_directory() -> Iterator[Path]:
    """`/tmp/tnd-XXXXXXXX`, 0700, gone after the test. pytest's tmp_path is often too long."""
    with tempfile.TemporaryDirectory(prefix="tnd-", dir="/tmp") as name:
        yield Path(name)
