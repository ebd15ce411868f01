"""A back end as a process of its own: says back what it hears. `echo_service.py ENDPOINT [pcm]`."""

from __future__ import annotations

import sys

import trio

from ipc.backend.call import Call
from ipc.backend.messages import AudioFormat, Encoding
from ipc.backend.serve import run


async def agent(call: Call) -> None:
    """Say back every chunk."""
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            async for message in call.data:
                call.send(message.payload.decode() if message.text else message.payload)

        nursery.start_soon(read)
        async for chunk in call.audio:
            if chunk.payload:
                call.say(chunk.payload)


if __name__ == "__main__":
    form = AudioFormat(Encoding.PCM, 16_000) if "pcm" in sys.argv else AudioFormat()
    trio.run(lambda: run(sys.argv[1], agent, name="echo-service", audio=form))
