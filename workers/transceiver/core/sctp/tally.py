"""What data channels have carried, in plain integers that only grow: one tally for many associations."""

from __future__ import annotations


class Tally:
    """Messages of the applications; those that open channels are not among them."""

    __slots__ = ("bytes_in", "bytes_out", "messages_in", "messages_out", "resent")

    def __init__(self) -> None:
        self.messages_in = 0
        self.messages_out = 0
        """Taken to be sent."""
        self.bytes_in = 0
        self.bytes_out = 0
        """Of those messages, payload only."""
        self.resent = 0
        """Chunks that left once more."""

    def came(self, size: int) -> None:
        """A whole message of so many bytes is handed on."""
        self.messages_in += 1
        self.bytes_in += size

    def taken(self, size: int) -> None:
        """A message of so many bytes will be sent."""
        self.messages_out += 1
        self.bytes_out += size
