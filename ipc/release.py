"""Which version of Tandem this process runs."""

from __future__ import annotations

from functools import cache
from importlib import metadata


@cache
def release() -> str:
    """The version of Tandem that is installed; to who asks as it starts, the one that it runs."""
    try:
        return metadata.version("tandem")
    except metadata.PackageNotFoundError:
        return "unknown"
