"""The C modules: the relay's datapath and the transceiver's media plane; or why there is none."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class NotBuilt(Exception):
    """There is no native module here; the text says why."""


def load() -> Any:
    """The relay's datapath (`ffi` and `lib`). Raises NotBuilt."""
    return _load("_fastpath")


def load_media() -> Any:
    """The transceiver's media plane (`ffi` and `lib`). Raises NotBuilt."""
    return _load("_media")


def _load(name: str) -> Any:
    try:
        return import_module(f"workers.native.{name}")
    except ImportError as error:
        raise NotBuilt(f"no native one is built: {error.msg}") from None
