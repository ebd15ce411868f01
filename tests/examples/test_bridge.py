"""The switchboard: real callers hear each other and a human who takes over; who joins may listen."""

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
from tests.examples.voices import AFTER, BEFORE, is_as_it_should_be
from tests.support.access import KEY, line
from tests.support.appliance import TREE, running_appliance
from tests.support.peers import reachable
from tests.support.services import configured, service, there
from tests.support.short_path import short_directory as short_directory


@pytest.mark.interop
async def test_a_human_takes_over_from_the_second_of_two_callers(
    tmp_path: Path, short_directory: Path
) -> None:
    endpoint, keys = f"ipc://{short_directory}/a.sock", tmp_path / "api-keys.toml"
    keys.write_text(line("shop", KEY))
    overrides = reachable() | configured(endpoint) | {"signaling": {"api_keys": str(keys)}}
    async with (
        service(TREE / "examples" / "bridge.py", endpoint),
        running_appliance(tmp_path, overrides) as appliance,
    ):
        await there(appliance, {"authorization": f"Bearer {KEY}"})
        with trio.fail_after(120):
            done = await trio.run_process(
                [sys.executable, "-m", "tests.examples.aiortc_handover", appliance.url, KEY, "60"],
                capture_stdout=True,
                cwd=TREE,
            )
    before, after = json.loads(done.stdout)
    assert is_as_it_should_be(before, BEFORE), before
    assert is_as_it_should_be(after, AFTER), after


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


def caller(name: str, **metadata: str) -> FakeCaller:
    """With the claims of a client secret, as signaling makes them."""
    claims = {"metadata": metadata, "key": "shop", "secret": name} if metadata else {"key": "shop"}
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


async def test_nobody_is_let_in_by_what_he_says_himself() -> None:
    one, two = caller("one"), caller("two")
    said = {"session": {"join": "one", "as": "take-over"}, "join": "one", "key": "shop"}
    spy = FakeCaller(audio=bridge.FORMAT, session="spy", claims=said)
    async with switchboard(one, two, spy):
        one.speak(frame(100))
        await trio.testing.wait_all_tasks_blocked()
        for each in (two, spy):
            each.listen(1000)
        assert (bytes(two.heard), bytes(spy.heard)) == (frame(100), b"")


async def test_who_would_join_a_call_that_is_over_is_paired_with_nobody() -> None:
    late, one = caller("late", join="gone"), caller("one")
    async with switchboard(late, one):
        assert late.hung_up
        one.speak(frame(100))
        await trio.testing.wait_all_tasks_blocked()
        assert not one.hung_up


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
