"""Run with nothing but the SDK's wheel installed: `sdk_agent.py ENDPOINT` says back what it hears."""

from __future__ import annotations

import importlib.util
import sys

import trio
import trio.testing
from tandem_backend.call import Call  # type: ignore[import-not-found]
from tandem_backend.fake import FakeCaller  # type: ignore[import-not-found]
from tandem_backend.serve import run  # type: ignore[import-not-found]


async def echo(call: Call) -> None:
    """Until the caller hangs up."""
    async for chunk in call.audio:
        call.say(chunk.payload)


async def rehearse() -> None:
    """The agent against a caller in memory, as a user's own tests would do it."""
    caller = FakeCaller()
    caller.speak(b"one")
    caller.speak(b"two")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo, caller.call)
        await trio.testing.wait_all_tasks_blocked()
        caller.listen(1000)
        caller.hang_up()
    assert bytes(caller.heard) == b"onetwo"


if __name__ == "__main__":
    clashing = [
        name
        for name in ("ipc", "config", "workers", "appliance")
        if importlib.util.find_spec(name) is not None
    ]
    assert not clashing, clashing
    trio.run(rehearse)
    print("rehearsed", flush=True)
    trio.run(run, sys.argv[1], echo)
