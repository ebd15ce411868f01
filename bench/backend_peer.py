"""The back end of the bench: `python -m bench.backend_peer ENDPOINT`.

It says back what it hears. Told `play` on a data channel it plays a long item instead, told `flush` it
flushes it and says when, and how much was played. Calls that it was given after another's death are told
on standard output.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Final

import trio

from ipc.backend.call import Call
from ipc.backend.messages import PlaybackEvent
from ipc.backend.serve import run

FRAME: Final = bytes(80)
FRAMES: Final = 500
"""Of the long item: 10 s."""


async def agent(call: Call) -> None:
    """One call."""
    if call.resumed:
        print(json.dumps({"resumed": call.id, "at": time.monotonic()}), flush=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(obey, call)
        async for chunk in call.audio:
            call.say(chunk.payload, "echo", live=True)


async def obey(call: Call) -> None:
    """What is told on the data channel."""
    async for message in call.data:
        if message.payload == b"play":
            await call.play([FRAME] * FRAMES, "long")
        else:
            at = time.monotonic()
            call.flush("long")
            async for event in call.playback:
                if event.event is PlaybackEvent.CLEARED:
                    call.send(json.dumps({"at": at, "played": event.played}))
                    break


if __name__ == "__main__":
    print("begun", flush=True)
    trio.run(run, sys.argv[1], agent)
