"""How many strangers a process with so many descriptors may let in."""

from __future__ import annotations

import pytest

from workers.signaling.shell import RESERVED_DESCRIPTORS, connections_within


@pytest.mark.parametrize(
    ("wanted", "descriptors", "allowed"),
    [
        (2000, 65_536, 2000),
        (2000, 1024, 1024 - RESERVED_DESCRIPTORS),
        (2000, RESERVED_DESCRIPTORS, 1),
        (5, 1024, 5),
    ],
)
def test_the_descriptors_we_live_on_are_kept(wanted: int, descriptors: int, allowed: int) -> None:
    assert connections_within(wanted, descriptors) == allowed
