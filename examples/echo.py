"""Says back what it hears, and what is typed: the smallest back end there is."""

from __future__ import annotations

import sys

import trio

from ipc.backend.call import Call
from ipc.backend.serve import run

ENDPOINT = "tcp://127.0.0.1:7001"


async def echo(call: Call) -> None:
    """One call: two tasks, until it ends."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo_messages, call)
        async for chunk in call.audio:
            call.say(chunk.payload, live=True)


async def echo_messages(call: Call) -> None:
    """Messages of data channels go back on the channel they came by."""
    async for message in call.data:
        text = message.payload.decode() if message.text else message.payload
        call.send(text, message.channel)


if __name__ == "__main__":
    trio.run(run, sys.argv[1] if len(sys.argv) > 1 else ENDPOINT, echo)
