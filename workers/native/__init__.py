"""The C module: the relay's datapath. `load()` gives it, or says why there is none."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class NotBuilt(Exception):
    """There is no native module here; the text says why."""


def load() -> Any:
    """The compiled module (`ffi` and `lib`). Raises NotBuilt."""
    try:
        return import_module("workers.native._fastpath")
    except ImportError as error:
        raise NotBuilt(f"no native one is built: {error.msg}") from None
