"""Joins callers two by two: a switchboard. Each hears the other; who listens in hears both, mixed.

A third one may join a pair, if the `metadata` of its client secret says so: {"join": CALL, "as": ROLE}.

    listen     hears both, says nothing
    take-over  takes the place of whoever came second (an agent in software, say), who from then on listens

Secrets are made by a server of yours; what clients say themselves (`session`) lets nobody in.
"""

from __future__ import annotations

import sys
from array import array

import trio

from ipc.backend.call import Call
from ipc.backend.messages import AudioFormat, Encoding
from ipc.backend.serve import run

ENDPOINT = "tcp://127.0.0.1:7001"
FORMAT = AudioFormat(Encoding.PCM, 16_000)


def mix(one: bytes, other: bytes) -> bytes:
    """Both at once; what is too loud is clipped."""
    pairs = zip(array("h", one), array("h", other), strict=True)
    return array("h", (max(-32768, min(a + b, 32767)) for a, b in pairs)).tobytes()


class Room:
    """A conversation of two, and whoever listens to it."""

    def __init__(self, first: Call) -> None:
        self.talkers = [first]
        self.listeners: list[Call] = []
        self._second = b""
        """What the second one said since the first one did: both speak once in 20 ms."""

    def hear(self, speaker: Call, pcm: bytes) -> None:
        """What one says goes to the other at once; listeners hear both by the clock of the first."""
        if speaker not in self.talkers:
            return
        for talker in self.talkers:
            if talker is not speaker:
                talker.say(pcm, live=True)
        if speaker is not self.talkers[0]:
            self._second = pcm
        elif self.listeners:
            both = mix(pcm, self._second) if len(self._second) == len(pcm) else pcm
            self._second = b""
            for listener in self.listeners:
                listener.say(both, live=True)

    def take_over(self, call: Call) -> None:
        """That one speaks from now on, in place of the second."""
        self.listeners += self.talkers[1:]
        self.talkers[1:] = [call]

    def leave(self, call: Call) -> None:
        """It has hung up; a talker who is left alone is hung up on, and so are listeners."""
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
        room = self._find(call)
        if room is None:
            call.hang_up("there is no such call")
            return
        self.rooms[call.id] = room
        try:
            async for chunk in call.audio:
                room.hear(call, chunk.payload)
        finally:
            del self.rooms[call.id]
            if self._lonely is room:
                self._lonely = None
            room.leave(call)

    def _find(self, call: Call) -> Room | None:
        wish = call.claims.get("metadata", {})
        if "join" in wish:
            joined = self.rooms.get(str(wish["join"]))
            if joined is not None:
                if wish.get("as") == "take-over":
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


async def main(endpoint: str = ENDPOINT, *_: str) -> None:
    """Serve for ever."""
    await run(endpoint, Switchboard().connect, audio=FORMAT, name="bridge")


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
