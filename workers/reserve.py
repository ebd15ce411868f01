"""A relay that has released what it had, and keeps it all open until its successor has it.

Before a successor is born only the supervisor has it too. If that one dies, the next one asks who lives
what they hold (Reclaim); whom it welcomes after that has its own again, and serves as it did.
"""

from __future__ import annotations

import trio


class Reserve:
    """Whose it is: a successor's that is to come, or ours."""

    def __init__(self) -> None:
        self.is_kept = False
        """It is a successor's. Whoever ends us now ends nothing."""
        self._shown = False
        self._settled = trio.Event()

    def keep(self) -> None:
        """Nothing of it is used any more."""
        self.is_kept, self._shown, self._settled = True, False, trio.Event()

    def shown(self) -> None:
        """A supervisor has asked what we hold, and knows."""
        self._shown = True

    def welcomed(self) -> bool:
        """A supervisor knows us; true if it is ours again by that.

        A Welcome that crossed our Released is no such: its supervisor makes a successor.
        """
        if not (self.is_kept and self._shown):
            return False
        self.is_kept = False
        self._settled.set()
        return True

    async def until_ours(self, draining: trio.Event) -> bool:
        """Wait until it is; false if we are told to drain before."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._give_up, draining)
            await self._settled.wait()
            nursery.cancel_scope.cancel()
        return not self.is_kept

    async def _give_up(self, draining: trio.Event) -> None:
        await draining.wait()
        self._settled.set()
