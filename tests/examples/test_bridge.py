"""The switchboard: two real callers hear each other; who joins listens, or takes over."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from examples import bridge
from ipc.backend.fake import FakeCaller
from tests.support.appliance import TREE, running_appliance
from tests.support.peers import reachable
from tests.support.services import configured, service, there
from tests.support.short_path import short_directory as short_directory


@pytest.mark.interop
async def test_two_callers_hear_each_other_and_not_themselves(
    tmp_path: Path, short_directory: Path
) -> None:
    endpoint = f"ipc://{short_directory}/a.sock"
    async with (
        service(TREE / "examples" / "bridge.py", endpoint),
        running_appliance(tmp_path, reachable() | configured(endpoint)) as appliance,
    ):
        await there(appliance)
        with trio.fail_after(90):
            done = await trio.run_process(
                [sys.executable, "-m", "tests.examples.aiortc_pair", appliance.url, "60"],
                capture_stdout=True,
                cwd=TREE,
            )
    low, high = json.loads(done.stdout)
    assert low["700"] > 0.8 > 0.1 > low["440"], (low, high)
    assert high["440"] > 0.8 > 0.1 > high["700"], (low, high)


def frame(value: int) -> bytes:
    return value.to_bytes(2, "little", signed=True) * 320


@asynccontextmanager
async def switchboard(*callers: FakeCaller) -> AsyncIterator[trio.Nursery]:
    """All of them connected, in this order."""
    board = bridge.Switchboard()
    async with trio.open_nursery() as nursery:
        for caller in callers:
            nursery.start_soon(board.connect, caller.call)
            await trio.testing.wait_all_tasks_blocked()
        yield nursery
        nursery.cancel_scope.cancel()


def caller(name: str, **claims: str) -> FakeCaller:
    return FakeCaller(audio=bridge.FORMAT, session=name, claims=claims)


async def test_a_third_one_listens_to_both_at_once() -> None:
    one, two, third = caller("one"), caller("two"), caller("third", join="one")
    async with switchboard(one, two, third):
        for _ in range(3):
            two.speak(frame(200))
            await trio.testing.wait_all_tasks_blocked()
            one.speak(frame(100))
            third.speak(frame(5))
            await trio.testing.wait_all_tasks_blocked()
        for each in (one, two, third):
            each.listen(1000)
        assert bytes(one.heard) == frame(200) * 3
        assert bytes(two.heard) == frame(100) * 3
        assert bytes(third.heard) == frame(300) * 3


async def test_somebody_takes_over() -> None:
    one, two = caller("one"), caller("two")
    human = caller("human", **{"join": "one", "as": "take-over"})
    async with switchboard(one, two, human):
        human.speak(frame(7))
        two.speak(frame(200))
        await trio.testing.wait_all_tasks_blocked()
        one.speak(frame(100))
        await trio.testing.wait_all_tasks_blocked()
        for each in (one, two, human):
            each.listen(1000)
        assert bytes(one.heard) == frame(7)
        assert bytes(human.heard) == frame(100)
        assert bytes(two.heard) == frame(107)  # it listens on


async def test_who_is_left_alone_is_hung_up_on() -> None:
    one, two, third = caller("one"), caller("two"), caller("third", join="two")
    async with switchboard(one, two, third):
        one.hang_up()
        await trio.testing.wait_all_tasks_blocked()
        assert two.hung_up
        assert third.hung_up


async def test_the_next_two_have_a_room_of_their_own() -> None:
    one, two, three, four = (caller(name) for name in ("one", "two", "three", "four"))
    async with switchboard(one, two, three, four):
        three.speak(frame(3))
        await trio.testing.wait_all_tasks_blocked()
        for each in (one, two, four):
            each.listen(1000)
        assert (bytes(one.heard), bytes(two.heard)) == (b"", b"")
        assert bytes(four.heard) == frame(3)


@pytest.mark.parametrize(
    ("sum_of", "clipped"), [((30_000, 30_000), 32_767), ((-30_000,) * 2, -32_768)]
)
def test_too_loud_is_clipped(sum_of: tuple[int, int], clipped: int) -> None:
    assert bridge.mix(frame(sum_of[0]), frame(sum_of[1])) == frame(clipped)
