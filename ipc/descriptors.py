"""How many descriptors this process may have: what strangers may take of them is in proportion."""

from __future__ import annotations

import resource
from typing import Final

MAX_DESCRIPTORS: Final = 65_536


def allow_descriptors() -> None:
    """As many as we may have; the usual soft limit is less than signaling's connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = max(soft, min(hard, MAX_DESCRIPTORS) if hard > 0 else MAX_DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def share_of_descriptors(most: int) -> int:
    """At most that many, and at most half of what this process may have."""
    return min(most, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
