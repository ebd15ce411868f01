"""Messages on a data channel, sent now and then and told again when they come back.

Each carries the number of its call, so that one of another call is not taken for ours, and its own.
"""

from __future__ import annotations

import math
import struct
from typing import Final

from config.ids import Instant
from workers.caller.echoes import Echoes
from workers.transceiver.core.sctp.interface import MessageReceived, OpenChannel, SendMessage

LABEL: Final = "tandem call"
PERIOD: Final = 0.1
"""Seconds between two messages."""
_FILLER: Final = bytes(range(32, 60))
_NUMBERS: Final = struct.Struct(">II")


class Messages:
    """One channel of one call."""

    def __init__(self, call: int) -> None:
        """`call`: its number, 32 bits."""
        self._call = call
        self.echoes = Echoes()
        self._channel: int | None = None
        self._due: Instant = 0.0

    @property
    def open(self) -> bool:
        """The channel has been opened."""
        return self._channel is not None

    @property
    def due(self) -> Instant:
        """When the next one is."""
        return self._due if self.open else math.inf

    def request(self) -> OpenChannel:
        """What asks for the channel."""
        return OpenChannel(LABEL)

    def opened(self, channel: int, now: Instant) -> None:
        """It is there."""
        self._channel, self._due = channel, now

    def next(self, now: Instant) -> SendMessage | None:
        """A message, if it is time for one."""
        if self._channel is None or now < self._due:
            return None
        # A late tick sends one message, not all that were due.
        self._due = self._due + PERIOD if now < self._due + PERIOD else now + PERIOD
        index = self.echoes.sent
        self.echoes.went(index, now)
        return SendMessage(self._channel, _NUMBERS.pack(self._call, index) + _FILLER)

    def came(self, message: MessageReceived, now: Instant) -> None:
        """A message arrived."""
        index = None
        if message.channel == self._channel and message.payload[_NUMBERS.size :] == _FILLER:
            call, number = _NUMBERS.unpack_from(message.payload)
            index = number if call == self._call else None
        self.echoes.came(index, (index or 0) * PERIOD, now)
