"""What the supervisor has said to a role and the role has not read yet."""

from __future__ import annotations

from typing import Final, TypeAlias

import trio

from ipc.messages.fleet import Announce, FleetView
from ipc.messages.routes import Relays, Routes, Transceivers

COMMANDS: Final = 16
Command: TypeAlias = Routes | Transceivers | Relays | Announce | FleetView


class Inbox:
    """Each command is the whole truth: of more than 16 the oldest go."""

    def __init__(self) -> None:
        self.commands: trio.MemoryReceiveChannel[Command]
        self._in, self.commands = trio.open_memory_channel[Command](COMMANDS)

    def offer(self, command: Command) -> None:
        """One more; nobody's if the role reads no more."""
        while True:
            try:
                self._in.send_nowait(command)
            except trio.WouldBlock:
                self.commands.receive_nowait()
            except trio.BrokenResourceError:
                return
            else:
                return

    def clear(self) -> None:
        """Forget what was said by a supervisor that is no more."""
        while self.commands.statistics().current_buffer_used:
            self.commands.receive_nowait()
