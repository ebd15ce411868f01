"""What was released is a successor's, until a supervisor that has asked for it says otherwise."""

from __future__ import annotations

import pytest
import trio

from workers.reserve import Reserve


def test_what_was_never_released_is_ours() -> None:
    reserve = Reserve()
    reserve.shown()
    assert not reserve.welcomed()
    assert not reserve.is_kept


@pytest.mark.parametrize("times", [1, 2])
async def test_it_is_ours_again_only_when_a_supervisor_has_seen_it(times: int) -> None:
    reserve = Reserve()
    for _ in range(times):
        reserve.keep()
        assert not reserve.welcomed()  # it crossed our Released
        reserve.shown()
        assert reserve.is_kept
        assert reserve.welcomed()
        with trio.fail_after(1):
            assert await reserve.until_ours(trio.Event())


async def test_who_is_told_to_drain_waits_no_longer() -> None:
    reserve, draining = Reserve(), trio.Event()
    reserve.keep()
    draining.set()
    with trio.fail_after(1):
        assert not await reserve.until_ours(draining)
