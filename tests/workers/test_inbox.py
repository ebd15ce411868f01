"""Of what is not read the newest is kept."""

from __future__ import annotations

import pytest
import trio

from ipc.messages.routes import Routes
from workers.inbox import COMMANDS, Inbox


def routes(serial: int) -> Routes:
    return Routes(serial=serial, routes=())


async def test_of_unread_commands_the_newest_are_kept() -> None:
    inbox = Inbox()
    for serial in range(100):
        inbox.offer(routes(serial))
    kept = [inbox.commands.receive_nowait() for _ in range(COMMANDS)]
    assert kept == [routes(serial) for serial in range(100 - COMMANDS, 100)]
    inbox.commands.close()
    inbox.offer(routes(100))


async def test_it_can_be_cleared() -> None:
    inbox = Inbox()
    inbox.clear()
    inbox.offer(routes(1))
    inbox.clear()
    with pytest.raises(trio.WouldBlock):
        inbox.commands.receive_nowait()
    inbox.offer(routes(2))
    assert await inbox.commands.receive() == routes(2)
