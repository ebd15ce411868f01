"""What the server says: audio that comes in bursts, handed over a few seconds ahead of what was played.

    response r1:  [utterance 1: item a, part 0]  [utterance 2: item b, part 0]
                   played | handed over | waits

Only so much is handed over that the transceiver's buffer holds it; the rest waits here, bounded. When the
caller interrupts, what waits is forgotten, and what was handed over is flushed: the transceiver then says
how many milliseconds were heard, and the server is told to forget the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from workers.realtime.core.interface import Became, Played, Say

RATE: Final = 24_000
PER_MS: Final = RATE * 2 // 1000
"""Bytes of a millisecond."""
PIECE: Final = 200 * PER_MS
"""Bytes that are handed over at a time."""
LEAD: Final = 5_000
"""Milliseconds that are handed over ahead of what was played, if the transceiver's buffer has room."""
LEAST_LEAD: Final = 600
"""Progress is told every 200 ms: with less than a few of these it would never go on."""
MAX_WAITING: Final = 300_000 * PER_MS
"""Bytes that may wait here: five minutes."""
MAX_UTTERANCES: Final = 128
MAX_RESPONSES: Final = 64


class PartKey(NamedTuple):
    """A content part of an item of a response, as the server names it."""

    response: str
    item: str
    part: int


class Truncation(NamedTuple):
    """The caller heard so much of that part, and no more."""

    item: str
    part: int
    milliseconds: int


class Closed(NamedTuple):
    """Nothing of that response is being played any more."""

    response: str
    interrupted: bool


@dataclass(slots=True)
class _Utterance:
    name: str
    key: PartKey
    waiting: bytearray = field(default_factory=bytearray)
    """One piece, however many small ones it came in."""
    received: int = 0
    """Bytes."""
    handed: int = 0
    """Bytes."""
    played: int = 0
    """Milliseconds."""
    complete: bool = False
    """The server has sent all of it."""
    ended: bool = False
    """Its last piece was handed over."""
    cut: bool = False
    """It was interrupted; how much was heard is not known yet."""

    @property
    def next_piece(self) -> int:
        """Bytes that could be handed over next; half a sample waits for its other half."""
        return min(len(self.waiting) & ~1, PIECE)

    @property
    def ahead(self) -> int:
        """Milliseconds handed over and not known to be played."""
        return 0 if self.cut else max(0, self.handed // PER_MS - self.played)


@dataclass(slots=True)
class _Response:
    started: bool = False
    done: bool = False
    cut: bool = False


class Voice:
    """The utterances of one call."""

    def __init__(self, buffer: int) -> None:
        """`buffer`: milliseconds that the transceiver holds."""
        self.dropped = 0
        """Bytes for which there was no room."""
        self.late = 0
        """Bytes that came after their response was interrupted, or their part was complete."""
        self._lead = max(LEAST_LEAD, min(LEAD, buffer))
        self._live: dict[str, _Utterance] = {}
        """By name, in the order in which they are played."""
        self._names: dict[PartKey, str] = {}
        self._responses: dict[str, _Response] = {}
        self._waiting = 0
        self._number = 0

    @property
    def waiting(self) -> int:
        """Bytes that wait here."""
        return self._waiting

    # --- from the server --------------------------------------------------------------------------

    def begin(self, response: str) -> None:
        """The server has begun to answer."""
        if response not in self._responses:
            while len(self._responses) >= MAX_RESPONSES:
                self._forget(next(iter(self._responses)))
            self._responses[response] = _Response()

    def add(self, key: PartKey, pcm: bytes) -> None:
        """More audio of that part."""
        self.begin(key.response)
        name = self._names.get(key)
        ended = name is not None and self._live[name].complete
        if ended or self._responses[key.response].cut:
            self.late += len(pcm)
            return
        if self._waiting + len(pcm) > MAX_WAITING or (
            name is None and len(self._live) >= MAX_UTTERANCES
        ):
            self.dropped += len(pcm)
            return
        if name is None:
            self._number += 1
            name = f"utterance-{self._number}"
            self._live[name] = _Utterance(name, key)
            self._names[key] = name
        utterance = self._live[name]
        utterance.received += len(pcm)
        utterance.waiting += pcm
        self._waiting += len(pcm)

    def finish_part(self, key: PartKey) -> None:
        """That part is complete."""
        if (name := self._names.get(key)) is not None:
            self._live[name].complete = True

    def finish_response(self, response: str) -> list[Closed]:
        """That response is complete, whatever became of it."""
        found = self._responses.get(response)
        if found is None:
            return []
        found.done = True
        for utterance in self._of(response):
            utterance.complete = True
        return self._closed(response)

    # --- to the caller ----------------------------------------------------------------------------

    def hand_over(self) -> Iterator[Say]:
        """What is to be played now: no more than the lead."""
        ahead = sum(each.ahead for each in self._live.values())
        for each in self._live.values():
            if each.cut:
                continue
            while (size := each.next_piece) and ahead + size // PER_MS <= self._lead:
                piece = bytes(each.waiting[:size])
                del each.waiting[:size]
                self._waiting -= size
                each.handed += size
                ahead += size // PER_MS
                each.ended = each.complete and not each.next_piece
                yield Say(each.name, piece, each.ended)
            if each.next_piece:
                return
            if each.complete and not each.ended:
                each.ended = True
                yield Say(each.name, b"", last=True)
            if not each.complete:
                return  # what follows would end it

    def interrupt(self) -> tuple[bool, list[Truncation], list[Closed]]:
        """The caller is to hear no more: whether to flush, what nobody heard, what is over."""
        flush = False
        unheard: list[Truncation] = []
        closed: list[Closed] = []
        for name, response in list(self._responses.items()):
            response.cut = True
            for each in self._of(name):
                self._drop_waiting(each)
                if each.handed:
                    flush |= not each.cut
                    each.cut = True
                else:
                    self._remove(each)
                    unheard.append(Truncation(each.key.item, each.key.part, 0))
            closed += self._closed(name)
        return flush, unheard, closed

    def played(self, news: Played) -> tuple[str, Truncation | None, list[Closed]]:
        """How far an utterance is: the response that begins with it, what was not heard, what is over."""
        each = self._live.get(news.name)
        if each is None:
            return "", None, []
        each.played = max(each.played, news.milliseconds)
        name = each.key.response
        response = self._responses.get(name)
        begins, truncation = "", None
        if news.became is Became.STARTED and response is not None and not response.started:
            response.started = True
            begins = name
        elif news.became is Became.CLEARED:
            if response is not None:
                response.cut = True
            self._remove(each)
            heard = min(news.milliseconds, each.received // PER_MS)
            truncation = Truncation(each.key.item, each.key.part, heard)
            return begins, truncation, self._closed(name)
        elif news.became is Became.DRAINED and each.ended:
            self._remove(each)
            return begins, None, self._closed(name)
        return begins, truncation, []

    # --- inside -----------------------------------------------------------------------------------

    def _of(self, response: str) -> list[_Utterance]:
        return [each for each in self._live.values() if each.key.response == response]

    def _drop_waiting(self, each: _Utterance) -> None:
        self._waiting -= len(each.waiting)
        each.waiting.clear()

    def _remove(self, each: _Utterance) -> None:
        self._drop_waiting(each)
        del self._live[each.name]
        self._names.pop(each.key, None)

    def _closed(self, name: str) -> list[Closed]:
        """A response is over when all of it was played or, if it was interrupted, at once."""
        response = self._responses.get(name)
        if response is None or self._of(name) or not (response.done or response.cut):
            return []
        closed = [Closed(name, response.cut)] if response.started else []
        response.started = False
        if response.done:
            del self._responses[name]
        return closed

    def _forget(self, name: str) -> None:
        """The server never said that it is done: no room for more of these."""
        for each in self._of(name):
            self._remove(each)
        del self._responses[name]
