"""One session as its back end is told of it: who calls, what is open, what came before it was accepted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from ipc.backend.messages import ChannelOpened, ClientHints, DataIn, SessionStarted, ToBackend
from workers.transceiver.backends.conversation import Conversation, spoken
from workers.transceiver.core.interface import Created

MAX_WAITING: Final = 64
"""Messages of a session that wait for a back end to accept it,"""
MAX_WAITING_BYTES: Final = 256 * 1024
"""and their bytes; what is beyond is dropped, counted."""


@dataclass(slots=True)
class Talk:
    """From its answer to its end, whoever serves it."""

    created: Created
    address: str = ""
    conversation: Conversation | None = None
    """From when a back end has accepted it."""
    channels: dict[int, ChannelOpened] = field(default_factory=dict)
    """Open now: each back end that accepts the session is told of them."""
    waiting: list[DataIn] = field(default_factory=list)
    """Came while nobody had accepted it."""

    def introduce(self, backend: str, buffer: float) -> SessionStarted:
        """How it is offered. `buffer`: seconds of audio that may wait to be played."""
        created = self.created
        codec = None if created.audio is None else spoken(created.audio)
        client = created.client
        return SessionStarted(
            created.session,
            backend,
            created.claims,
            ClientHints(self.address, client.user_agent, client.origin),
            "" if codec is None else codec.name,
            created.data,
            round(buffer * 1000),
        )

    def keep(self, message: DataIn) -> bool:
        """Have it wait for somebody; False if there is no room."""
        size = sum(len(each.payload) for each in self.waiting) + len(message.payload)
        if len(self.waiting) >= MAX_WAITING or size > MAX_WAITING_BYTES:
            return False
        self.waiting.append(message)
        return True

    def catch_up(self) -> list[ToBackend]:
        """What somebody who has just accepted it does not know: open channels, and what waits for them."""
        waiting, self.waiting = self.waiting, []
        messages = (message for message in waiting if message.channel in self.channels)
        return [*self.channels.values(), *messages]
