"""For all tests: how long an example takes says something of the machine, not of the code.

Whole appliances, browsers and machines share two CPUs with each other here, and where CI runs with others,
too: a packet may be late. Those tests are asked a second time, and the report says so ("rerun").
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("untimed")

_WHOLE: Final = frozenset({"process", "interop"})
_HERE: Final = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs more than itself."""
    for item in items:
        if item.path.is_relative_to(_HERE / "systemd") or any(
            mark.name in _WHOLE for mark in item.iter_markers()
        ):
            item.add_marker(pytest.mark.flaky(reruns=1))
