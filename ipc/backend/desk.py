"""The back end's side of the protocol: which transceivers are there, and whose session is whose.

Sans-IO: batches and `now` in, outputs out; `serve.py` moves them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from ipc.backend.codec import BatchError, decode_to_backend
from ipc.backend.messages import (
    HEARTBEAT,
    SILENCE,
    VERSION,
    AudioIn,
    Credit,
    Error,
    ErrorCode,
    FromBackend,
    Heartbeat,
    Hello,
    SessionEnded,
    SessionStarted,
    ToBackend,
)

Peer: TypeAlias = bytes
"""ZeroMQ's routing id of a transceiver."""

CREDIT: Final = 4096
"""Audio items that a transceiver may have under way."""
GRANT: Final = CREDIT // 4
"""Items taken in after which their credit is given back."""
MAX_PEERS: Final = 256
GONE: Final = "transceiver_gone"
"""Why a session ended whose transceiver no longer answers."""


class Send(NamedTuple):
    """Send these items to that transceiver."""

    peer: Peer
    items: tuple[FromBackend, ...]


class Offered(NamedTuple):
    """A session is offered: answer with `Accept` or `Reject`."""

    started: SessionStarted


class Told(NamedTuple):
    """An item for a session that was offered before; its `SessionEnded` is the last."""

    item: ToBackend


DeskOutput: TypeAlias = Send | Offered | Told


@dataclass(slots=True)
class DeskCounters:
    """Plain totals."""

    malformed: int = 0
    """Batches that were none."""
    strangers: int = 0
    """Batches of peers that said no hello, another version, or were too many."""
    unknown: int = 0
    """Items of sessions that are not ours."""
    errors: Counter[ErrorCode] = field(default_factory=Counter)
    """Said by transceivers of our items."""
    unsent: int = 0
    """Items of ours for sessions that had ended."""


@dataclass(slots=True)
class _Link:
    instance: str
    heard_at: float
    said_at: float
    taken: int = 0
    """Audio items since credit was last given back."""
    sessions: set[str] = field(default_factory=set)


class Desk:
    """All transceivers and sessions of one back end."""

    def __init__(self, hello: Hello) -> None:
        self.counters = DeskCounters()
        self._hello = hello
        self._links: dict[Peer, _Link] = {}
        self._owners: dict[str, Peer] = {}

    def __len__(self) -> int:
        return len(self._owners)

    def handle(self, peer: Peer, data: bytes, now: float) -> list[DeskOutput]:
        """Take a batch that came from a peer."""
        try:
            items = decode_to_backend(data)
        except BatchError as error:
            self.counters.malformed += 1
            if peer not in self._links:
                return []
            return [Send(peer, (Error(ErrorCode.MALFORMED, str(error)[:200]),))]
        link = self._links.get(peer)
        outputs: list[DeskOutput] = []
        for item in items:
            if isinstance(item, Hello):
                outputs += self._greet(peer, item, now)
                link = self._links.get(peer)
            elif link is None:
                self.counters.strangers += 1
                return outputs
            else:
                outputs += self._take(peer, link, item)
        if link is not None:
            link.heard_at = now
            if link.taken >= GRANT:
                outputs.append(Send(peer, (Credit(link.taken),)))
                link.taken, link.said_at = 0, now
        return outputs

    def say(self, item: FromBackend, session: str, now: float) -> list[DeskOutput]:
        """An item of ours about a session."""
        peer = self._owners.get(session)
        if peer is None:
            self.counters.unsent += 1
            return []
        self._links[peer].said_at = now
        return [Send(peer, (item,))]

    def next_timeout(self) -> float | None:
        """When `handle_timeout` has something to do."""
        return min(
            (
                min(link.said_at + HEARTBEAT, link.heard_at + SILENCE)
                for link in self._links.values()
            ),
            default=None,
        )

    def handle_timeout(self, now: float) -> list[DeskOutput]:
        """Send heartbeats; give up on transceivers that went silent."""
        outputs: list[DeskOutput] = []
        for peer, link in list(self._links.items()):
            if now - link.heard_at >= SILENCE:
                outputs += self._lose(peer)
            elif now - link.said_at >= HEARTBEAT:
                link.said_at = now
                outputs.append(Send(peer, (Heartbeat(),)))
        return outputs

    def _greet(self, peer: Peer, hello: Hello, now: float) -> list[DeskOutput]:
        if hello.version != VERSION:
            self.counters.strangers += 1
            why = f"this back end speaks version {VERSION}"
            return [Send(peer, (Error(ErrorCode.VERSION, why),))]
        outputs: list[DeskOutput] = []
        for known, link in list(self._links.items()):
            # A new process, or the same after a break, by which it has become another peer: its
            # sessions are offered anew.
            if known == peer or (hello.instance and hello.instance == link.instance):
                outputs += self._lose(known)
        if len(self._links) >= MAX_PEERS:
            self.counters.strangers += 1
            return outputs
        self._links[peer] = _Link(hello.instance, heard_at=now, said_at=now)
        return [*outputs, Send(peer, (self._hello, Credit(CREDIT)))]

    def _take(self, peer: Peer, link: _Link, item: ToBackend) -> list[DeskOutput]:
        match item:
            case Heartbeat() | Hello():
                return []
            case Error():
                self.counters.errors[item.code] += 1
                return [Told(item)] if self._owners.get(item.session) == peer else []
            case SessionStarted():
                if item.session in self._owners:
                    return [Send(peer, (Error(ErrorCode.UNEXPECTED, "twice", item.session),))]
                self._owners[item.session] = peer
                link.sessions.add(item.session)
                return [Offered(item)]
            case _:
                if isinstance(item, AudioIn):
                    link.taken += 1
                if self._owners.get(item.session) != peer:
                    self.counters.unknown += 1
                    return []
                if isinstance(item, SessionEnded):
                    self._forget(item.session)
                return [Told(item)]

    def release(self, session: str) -> None:
        """It was rejected: what still comes for it is nobody's."""
        self._forget(session)

    def _forget(self, session: str) -> None:
        peer = self._owners.pop(session, None)
        if peer is not None:
            self._links[peer].sessions.discard(session)

    def _lose(self, peer: Peer) -> list[DeskOutput]:
        link = self._links.pop(peer)
        for session in link.sessions:
            del self._owners[session]
        return [Told(SessionEnded(session, GONE)) for session in sorted(link.sessions)]
