"""Work of which only one at a time is done, and that goes to its end once it has begun."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

Result = TypeVar("Result")


class Turns:
    """Whoever asks waits for his turn, and for what comes of it; to wait no more changes nothing else.

    An operator's request is cut off after a while. By then workers are being replaced, and what follows
    from that, which configuration is in force above all, must not depend on who still listens.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        """What was begun is a task of that nursery."""
        self._nursery = nursery
        self._free = trio.Semaphore(1)

    async def take(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """What comes of that work, when it is its turn. Cancelled before that, it is never begun.

        Raises what it raises; where nobody waits for that any more, it is the nursery's.
        """
        await self._free.acquire()
        tell, told = trio.open_memory_channel[Result | Exception](1)

        async def see_through() -> None:
            end: Result | Exception
            try:
                end = await work()
            except Exception as error:
                end = error
            finally:
                self._free.release()
            try:
                tell.send_nowait(end)
            except trio.BrokenResourceError:
                if isinstance(end, Exception):
                    raise end from None

        self._nursery.start_soon(see_through)
        with told:
            end = await told.receive()
        if isinstance(end, Exception):
            raise end
        return end
