"""What was begun is not left half done because nobody waits for it any more."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from appliance.supervisor.turns import Turns


async def test_work_goes_on_though_its_request_is_cut_off_and_the_next_waits() -> None:
    goes_on, done = trio.Event(), list[str]()
    cut, answers = trio.CancelScope(), list[str]()

    async def slow() -> str:
        done.append("begun")
        await goes_on.wait()
        done.append("over")
        return "slow"

    async def quick() -> str:
        done.append("the next")
        return "quick"

    async def asks_and_is_cut_off() -> None:
        with cut:
            answers.append(await turns.take(slow))

    async def asks() -> None:
        answers.append(await turns.take(quick))

    async with trio.open_nursery() as nursery:
        turns = Turns(nursery)
        nursery.start_soon(asks_and_is_cut_off)
        await wait_all_tasks_blocked()
        cut.cancel()
        await wait_all_tasks_blocked()
        nursery.start_soon(asks)
        await wait_all_tasks_blocked()
        assert done == ["begun"]
        goes_on.set()
    assert done == ["begun", "over", "the next"]
    assert answers == ["quick"]


async def test_who_gives_up_before_his_turn_has_asked_for_nothing() -> None:
    goes_on, done = trio.Event(), list[str]()

    async def work() -> None:
        await goes_on.wait()
        done.append("done")

    async with trio.open_nursery() as nursery:
        turns = Turns(nursery)
        nursery.start_soon(turns.take, work)
        await wait_all_tasks_blocked()
        with trio.move_on_after(0):
            await turns.take(work)
        goes_on.set()
    assert done == ["done"]


async def test_what_was_begun_ends_with_the_supervisor() -> None:
    async with trio.open_nursery() as nursery:
        turns = Turns(nursery)
        nursery.start_soon(turns.take, trio.sleep_forever)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


async def test_a_mistake_is_told_to_whoever_waits_and_the_next_has_his_turn() -> None:
    async def mistaken() -> None:
        raise ZeroDivisionError

    async def right() -> str:
        return "right"

    async with trio.open_nursery() as nursery:
        turns = Turns(nursery)
        with pytest.raises(ZeroDivisionError):
            await turns.take(mistaken)
        assert await turns.take(right) == "right"


async def test_a_mistake_of_which_nobody_would_hear_is_not_lost() -> None:
    goes_on, cut = trio.Event(), trio.CancelScope()

    async def mistaken() -> None:
        await goes_on.wait()
        raise ZeroDivisionError

    async def asks_and_is_cut_off(turns: Turns) -> None:
        with cut:
            await turns.take(mistaken)

    with pytest.RaisesGroup(ZeroDivisionError):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(asks_and_is_cut_off, Turns(nursery))
            await wait_all_tasks_blocked()
            cut.cancel()
            await wait_all_tasks_blocked()
            goes_on.set()
