"""Reads the operator's file."""

from __future__ import annotations

from pathlib import Path

from config.load import load
from config.model import Config
from config.problems import ConfigError, Problem


def read_file(file: Path | None) -> Config:
    """What it says, or the built-in defaults without a file. Raises ConfigError with every problem."""
    return Config() if file is None else load(read_text(file), source=str(file))


def read_text(file: Path) -> str:
    """The text of it. Raises ConfigError."""
    try:
        data = file.read_bytes()
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        raise ConfigError([Problem(str(file), None, (), what)]) from None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = f"byte 0x{data[error.start]:02x} is not UTF-8 text"
        raise ConfigError([Problem(str(file), line, (), what)]) from None
