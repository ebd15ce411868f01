"""A whole house under one input: it says what becomes of the datagrams of a real set-up on their way.

Four bytes a deed: how many datagrams pass first, what is done to the next one, where, and with what. A
bystander talks all the time; nothing of this may be heard in his call, and nobody may be made to flood a
stranger.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from config.ids import Endpoint
from tests.support.network import Transit
from tests.support.world import PUBLIC, World

STRANGER: Final = Endpoint.parse("203.0.113.66:6666")
DEEDS: Final = 9
SECONDS: Final = 2.5
"""Of virtual time."""
MAX_DEEDS: Final = 64


class Mischief:
    """A filter on the way between clients and relay."""

    def __init__(self, data: bytes, spared: Endpoint) -> None:
        self._deeds: Iterator[tuple[int, ...]] = (
            tuple(data[at : at + 4]) for at in range(0, min(len(data), 4 * MAX_DEEDS) - 3, 4)
        )
        self._spared = spared
        self._next = next(self._deeds, None)
        self._wait = self._next[0] if self._next else 0
        self._seen: list[Transit] = []
        self.sent_as_stranger = 0
        """Bytes, to the relay."""

    def __call__(self, transit: Transit) -> list[Transit]:
        if {self._spared, STRANGER} & {transit.source, transit.destination}:
            return [transit]
        self._seen.append(transit)
        if self._next is None:
            return [transit]
        if self._wait:
            self._wait -= 1
            return [transit]
        _, deed, where, what = self._next
        self._next = next(self._deeds, None)
        self._wait = self._next[0] if self._next else 0
        return self._do(deed % DEEDS, transit, where, what)

    def _do(self, deed: int, transit: Transit, where: int, what: int) -> list[Transit]:
        datagram = transit.datagram
        at = where * max(1, len(datagram) - 1) // 255
        other = self._seen[what % len(self._seen)].datagram
        match deed:
            case 0:
                return []
            case 1:
                return [transit, transit]
            case 2:
                changed = datagram[:at] + bytes((what,)) + datagram[at + 1 :]
            case 3:
                changed = datagram[:at]
            case 4:
                changed = datagram[:at] + bytes((what,)) * 7 + datagram[at:]
            case 5:
                changed = other
            case 6:
                changed = datagram[:at] + other[at:]
            case 7:  # replayed by somebody else
                self._count(transit, other)
                return [transit, transit._replace(source=STRANGER, datagram=other)]
            case _:  # taken over by somebody else
                self._count(transit, datagram)
                return [transit._replace(source=STRANGER)]
        return [transit._replace(datagram=changed)]

    def _count(self, transit: Transit, datagram: bytes) -> None:
        if transit.destination == PUBLIC:
            self.sent_as_stranger += len(datagram)


def run(data: bytes) -> None:
    """The target."""
    with World(1) as world:
        bystander = world.connected_call("198.51.100.2:4002")
        mischief = Mischief(data, bystander.outside)
        world.wan.filters.append(mischief)
        came: list[int] = []

        def hear(transit: Transit) -> None:
            if transit.source == PUBLIC:  # a client is a full agent, and checks whoever checks it
                came.append(len(transit.datagram))

        world.network.listen("wan", STRANGER, hear)
        world.call("198.51.100.9:4009", data=True)
        before = bystander.echoes.received
        world.run(SECONDS)
        assert bystander.echoes.received - before >= int(48 * SECONDS)
        assert bystander.echoes.foreign == 0
        # What a stranger gets is bounded by what he sent (RFC 9000 does it alike), until he has proven
        # that he is there, which this one never does.
        assert sum(came) <= 3 * mischief.sent_as_stranger


def seeds() -> list[bytes]:
    """Each deed, early and late in a set-up."""
    return [bytes((passed, deed, 100, 9)) * 3 for deed in range(DEEDS) for passed in (0, 3, 12)]
