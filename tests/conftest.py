"""For all tests: how long an example takes says something of the machine, not of the code.

Whole appliances, browsers and machines share two CPUs with each other here, and where CI runs with others,
too: a packet may be late. Those tests are asked a second time, and the report says so ("rerun").
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def _left_over(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test of whole appliances leaves to the collector is found in that test, not in a later one."""
    yield
    if request.node.get_closest_marker("flaky"):
        gc.collect()


_WHOLE: Final = frozenset({"process", "interop"})
_HERE: Final = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs more than itself."""
    for item in items:
        if item.path.is_relative_to(_HERE / "systemd") or any(
            mark.name in _WHOLE for mark in item.iter_markers()
        ):
            item.add_marker(pytest.mark.flaky(reruns=1))
