"""Joins callers two by two: a switchboard. Audio passes through as Opus, nothing is decoded.

A third one may join a pair by what the token, or the `session` JSON, says: {"join": CALL, "as": ROLE}.

    listen     hears both, says nothing
    take-over  takes the place of whoever came second (an agent in software, say), who then hears no more
"""

from __future__ import annotations

import sys

import trio

from ipc.backend.call import Call
from ipc.backend.serve import run

ENDPOINT = "tcp://127.0.0.1:7001"


class Room:
    """A conversation of two, and whoever listens to it."""

    def __init__(self, first: Call) -> None:
        self.talkers = [first]
        self.listeners: list[Call] = []

    def hear(self, speaker: Call, payload: bytes) -> None:
        """What one says goes to the other; listeners hear whoever speaks."""
        if speaker not in self.talkers:
            return
        for call in (*self.talkers, *self.listeners):
            if call is not speaker and not call.ended:
                call.say(payload)

    def take_over(self, call: Call) -> None:
        """That one speaks from now on, in place of the second."""
        del self.talkers[1:]
        self.talkers.append(call)

    def leave(self, call: Call) -> None:
        """It has hung up; who is left alone is hung up on, too."""
        for group in (self.talkers, self.listeners):
            if call in group:
                group.remove(call)
        if len(self.talkers) < 2:
            for other in (*self.talkers, *self.listeners):
                other.hang_up("the other one has left")


class Switchboard:
    """Everybody who calls."""

    def __init__(self) -> None:
        self.rooms: dict[str, Room] = {}
        """By the calls in them."""
        self._lonely: Room | None = None

    async def connect(self, call: Call) -> None:
        """One call from beginning to end."""
        room = self.rooms[call.id] = self._find(call)
        try:
            async for chunk in call.audio:
                if chunk.payload:
                    room.hear(call, chunk.payload)
        finally:
            del self.rooms[call.id]
            if self._lonely is room:
                self._lonely = None
            room.leave(call)

    def _find(self, call: Call) -> Room:
        joined = self.rooms.get(str(call.claims.get("join", "")))
        if joined is not None:
            if call.claims.get("as") == "take-over":
                joined.take_over(call)
            else:
                joined.listeners.append(call)
            return joined
        room, self._lonely = self._lonely, None
        if room is None:
            room = self._lonely = Room(call)
        else:
            room.talkers.append(call)
        return room


if __name__ == "__main__":
    trio.run(run, sys.argv[1] if len(sys.argv) > 1 else ENDPOINT, Switchboard().connect)
