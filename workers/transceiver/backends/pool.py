"""The transceiver's side of the back-end protocol: which end points live, and who has which session.

Sans-IO. Each end point is a back end that we connect to, like an upstream of a reverse proxy:

    DOWN --its hello--> LIVE --no connection, SILENCE, or another instance's hello--> DOWN

A session is offered to the live end point of its name with the fewest; one that rejects it or goes down
passes it on to the next, told `resumed` if somebody had it before. So does one that does not answer within
ANSWER_WITHIN, as soon as there is another. If nobody takes it for PATIENCE, or HOLD if somebody had it, the
session is given up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from config.ids import Instant
from ipc.backend.codec import MAX_MESSAGE, BatchError, BatchTooLarge, decode_from_backend
from ipc.backend.messages import (
    HEARTBEAT,
    MAX_REASON,
    SILENCE,
    VERSION,
    Accept,
    AudioFormat,
    AudioIn,
    AudioOut,
    Credit,
    DataOut,
    Dtmf,
    Error,
    ErrorCode,
    Flush,
    FromBackend,
    HangUp,
    Heartbeat,
    Hello,
    OpenChannel,
    Pause,
    Reject,
    Resume,
    SessionEnded,
    SessionStarted,
    ToBackend,
)
from ipc.messages.stats import EndpointStats
from workers.transceiver.backends.endpoints import EndpointName, KnownEndpoint
from workers.transceiver.backends.offer import ANSWER_WITHIN, Offer
from workers.transceiver.media.loans import Line
from workers.wire.types import DropReason

GREET_EVERY: Final = 1.0
"""Seconds between two greetings at least: with each, all sessions of the end point are offered anew."""
_NO_RATE: Final = "no such rate for that encoding"


class Send(NamedTuple):
    """Send these items to that end point."""

    endpoint: EndpointName
    items: tuple[ToBackend, ...]


class Accepted(NamedTuple):
    """A back end has taken the session."""

    accept: Accept
    audio: AudioFormat
    """Also if it was not named."""
    resumed: bool


class Unplaced(NamedTuple):
    """Nobody takes the session: it is given up."""

    session: str
    why: str


Wish: TypeAlias = AudioOut | Flush | Pause | Resume | Dtmf | OpenChannel | DataOut | HangUp
"""An item for a session, by the back end that has it."""

PoolOutput: TypeAlias = Wish | Send | Accepted | Unplaced


class Pool:
    """All end points and the sessions they have."""

    def __init__(self, hello: Hello, groups: Mapping[str, Sequence[EndpointName]]) -> None:
        """`hello`: what we say of ourselves. `groups`: end points by the name of a back end."""
        self.dropped: Counter[DropReason] = Counter()
        """What went no further, and nobody was told of."""
        self.open_line: Callable[[], Line] = Line
        """For each end point that says hello."""
        self._hello = hello
        names = {name for group in groups.values() for name in group}
        self._endpoints = {name: KnownEndpoint(name) for name in sorted(names)}
        self._groups = {
            name: [self._endpoints[endpoint] for endpoint in group]
            for name, group in groups.items()
        }
        self._sessions: dict[str, Offer] = {}
        self._pending: dict[str, Offer] = {}
        """Of them, those that nobody has accepted yet: few, and the only ones with a deadline."""

    def live(self, backend: str) -> int:
        """How many end points of that name are there."""
        return sum(endpoint.live for endpoint in self._groups.get(backend, ()))

    def load(self, endpoint: EndpointName) -> int:
        """How many sessions it has."""
        return len(self._endpoints[endpoint].sessions)

    def has_taken(self, name: str) -> bool:
        """Whether a back end has accepted that session."""
        session = self._sessions.get(name)
        return session is not None and session.accepted

    def holder(self, name: str) -> EndpointName:
        """Who has accepted that session; empty if nobody has."""
        session = self._sessions.get(name)
        return session.at.name if session is not None and session.accepted and session.at else ""

    def stats(self, endpoint: EndpointName) -> EndpointStats:
        """How it stands."""
        return self._endpoints[endpoint].stats()

    # --- what sessions do ---------------------------------------------------------------------------

    def start(self, started: SessionStarted, now: Instant) -> list[PoolOutput]:
        """Find a back end for a session."""
        session = Offer(started, waits_since=now)
        self._sessions[started.session] = self._pending[started.session] = session
        return self._place(session, now)

    def end(self, ended: SessionEnded, now: Instant) -> list[PoolOutput]:
        """The session is over."""
        session = self._forget(ended.session)
        if session is None or session.at is None:
            return []
        session.at.sessions.discard(ended.session)
        return self._send(session.at, now, ended)

    def say(self, name: str, item: ToBackend, now: Instant) -> EndpointName | None:
        """Where that item of a session is to be sent; None: nobody has accepted the session, or its
        back end is too slow for more audio."""
        session = self._sessions.get(name)
        if session is None or session.at is None or not session.accepted:
            if type(item) is AudioIn and not item.lost:
                self.miss(name)
            return None
        endpoint = session.at
        if type(item) is AudioIn:
            if endpoint.line.credit <= 0:
                endpoint.without_credit += 1
                return None
            endpoint.line.credit -= 1
        elif not endpoint.tells(item, now):
            return None
        endpoint.said_at = now
        return endpoint.name

    def miss(self, name: str) -> None:
        """A chunk of that session's audio has come, and nobody has accepted the session."""
        session = self._sessions.get(name)
        if session is None:
            self.dropped[DropReason.NOT_ACCEPTED] += 1
        else:
            session.unheard += 1

    def line(self, name: str) -> Line | None:
        """To the back end that has accepted that session."""
        session = self._sessions.get(name)
        if session is None or session.at is None or not session.accepted:
            return None
        return session.at.line

    def take_batches(self, now: Instant) -> Iterator[tuple[EndpointName, bytes, int]]:
        """Items that were made without us, encoded, and how many: to be sent before all else."""
        for endpoint in self._endpoints.values():
            batch, count = endpoint.line.take_batch()
            if count:
                endpoint.said_at = now
                yield endpoint.name, batch, count

    # --- what end points do -------------------------------------------------------------------------

    def handle(self, name: EndpointName, data: bytes, now: Instant) -> list[PoolOutput]:
        """Take a batch from an end point."""
        endpoint = self._endpoints[name]
        done = 0
        if len(data) <= MAX_MESSAGE:
            done, count = endpoint.line.hear(data, now)
            if done:
                endpoint.heard_at = now
                if done == count:
                    return []
        try:
            items = decode_from_backend(data)[done:]
        except BatchTooLarge as error:
            return self._send(endpoint, now, Error(ErrorCode.TOO_LARGE, str(error)))
        except BatchError as error:
            return self._send(endpoint, now, Error(ErrorCode.MALFORMED, str(error)[:200]))
        outputs: list[PoolOutput] = []
        endpoint.heard_at = now
        for item in items:
            if type(item) is AudioOut and endpoint.live:
                # As below, without detours: nearly all items are such.
                session = self._sessions.get(item.session)
                if session is not None and session.accepted and session.at is endpoint:
                    outputs.append(item)
                    continue
            if isinstance(item, Hello):
                outputs += self._greet(endpoint, item, now)
            elif not endpoint.live:
                self.dropped[DropReason.UNEXPECTED_STATE] += 1
            else:
                outputs += self._take(endpoint, item, now)
        return outputs

    def reconnected(self, name: EndpointName, now: Instant) -> list[PoolOutput]:
        """The connection is a new one: whoever is there has to know us.

        To him we are somebody else now, so what he had is offered anew, even if he never died.
        """
        endpoint = self._endpoints[name]
        outputs = self._lose(endpoint, now) if endpoint.live else []
        return outputs + self._send(endpoint, now, self._hello)

    def disconnected(self, name: EndpointName, now: Instant) -> list[PoolOutput]:
        """There is no connection: whoever was there is dead, or will know us as somebody else."""
        endpoint = self._endpoints[name]
        return self._lose(endpoint, now) if endpoint.live else []

    # --- time ---------------------------------------------------------------------------------------

    def next_timeout(self) -> Instant:
        """When `handle_timeout` has something to do."""
        due = [
            min(endpoint.said_at + HEARTBEAT, endpoint.heard_at + SILENCE)
            if endpoint.live
            else endpoint.said_at + HEARTBEAT
            for endpoint in self._endpoints.values()
        ]
        due += [
            session.until if session.at is None else min(session.due, session.until)
            for session in self._pending.values()
        ]
        return min(due)

    def handle_timeout(self, now: Instant) -> list[PoolOutput]:
        """Heartbeats; end points that went silent; sessions that have waited long enough."""
        outputs: list[PoolOutput] = []
        for endpoint in self._endpoints.values():
            if endpoint.live and now - endpoint.heard_at >= SILENCE:
                outputs += self._lose(endpoint, now)
            if now - endpoint.said_at >= HEARTBEAT:
                sign = Heartbeat() if endpoint.live else self._hello
                outputs += self._send(endpoint, now, sign)
        for session in list(self._pending.values()):
            if session.at is None:
                if now >= session.until:
                    outputs.append(self._give_up(session))
            elif now >= session.until:
                outputs += self._withdraw(session, "did not answer", now)
            elif now >= session.due:
                if self._candidates(session, besides=session.at):
                    outputs += self._withdraw(session, "did not answer", now)
                else:
                    session.due = session.until
        return outputs

    # --- inside -------------------------------------------------------------------------------------

    def _forget(self, name: str) -> Offer | None:
        self._pending.pop(name, None)
        session = self._sessions.pop(name, None)
        if session is not None and session.unheard:
            self.dropped[DropReason.NOT_ACCEPTED] += session.unheard
        return session

    def _give_up(self, session: Offer) -> Unplaced:
        name = session.started.session
        self._forget(name)
        return Unplaced(name, session.why)

    def _greet(self, endpoint: KnownEndpoint, hello: Hello, now: Instant) -> list[PoolOutput]:
        if hello.version != VERSION or not hello.audio.valid:
            why = f"this transceiver speaks version {VERSION}"
            error = (
                Error(ErrorCode.VERSION, why)
                if hello.version != VERSION
                else Error(ErrorCode.UNSUPPORTED_FORMAT, _NO_RATE)
            )
            outputs = self._lose(endpoint, now) if endpoint.live else []
            return outputs + self._send(endpoint, now, error)
        outputs = []
        if endpoint.live and hello.instance != endpoint.hello.instance:
            outputs = self._lose(endpoint, now)
        if not endpoint.live:
            if now - endpoint.greeted_at < GREET_EVERY:
                return outputs  # it is asked again, as long as it is down
            endpoint.live, endpoint.line, endpoint.greeted_at = True, self.open_line(), now
        endpoint.hello = hello
        for session in list(self._pending.values()):
            if session.at is None:
                outputs += self._place(session, now)
            elif session.due == session.until:
                session.due = now  # whoever it is offered to is slow, and here is another
        return outputs

    def _take(self, endpoint: KnownEndpoint, item: FromBackend, now: Instant) -> list[PoolOutput]:
        if isinstance(item, Heartbeat | Hello):
            return []
        if isinstance(item, Credit):
            endpoint.grant(item.items)
            return []
        if isinstance(item, Error):
            return []
        session = self._sessions.get(item.session)
        if session is None or session.at is not endpoint:
            if session is None and isinstance(item, Accept):
                return []  # it ended while it was being accepted, and it was told so
            return self._send(
                endpoint, now, Error(ErrorCode.UNKNOWN_SESSION, "not yours", item.session)
            )
        match item:
            case Accept():
                return self._accept(session, endpoint, item, now)
            case Reject():
                return self._withdraw(session, item.why[:MAX_REASON] or "rejected", now)
            case _ if not session.accepted:
                return self._send(
                    endpoint, now, Error(ErrorCode.UNEXPECTED, "accept it first", item.session)
                )
            case _:
                return [item]

    def _accept(
        self, session: Offer, endpoint: KnownEndpoint, accept: Accept, now: Instant
    ) -> list[PoolOutput]:
        audio = accept.audio or endpoint.hello.audio
        if session.accepted:
            return self._send(
                endpoint, now, Error(ErrorCode.UNEXPECTED, "accepted before", accept.session)
            )
        if not audio.valid:
            error = Error(ErrorCode.UNSUPPORTED_FORMAT, _NO_RATE, accept.session)
            return self._send(endpoint, now, error) + self._withdraw(session, "format", now)
        if accept.vad is not None and (wrong := accept.vad.wrong):
            error = Error(ErrorCode.UNSUPPORTED_VAD, wrong, accept.session)
            return self._send(endpoint, now, error) + self._withdraw(session, "vad", now)
        session.accepted = True
        endpoint.before_accept += session.unheard
        session.unheard = 0
        del self._pending[accept.session]
        session.refused_by.clear()
        return [Accepted(accept, audio, session.started.resumed)]

    def _place(self, session: Offer, now: Instant) -> list[PoolOutput]:
        candidates = self._candidates(session)
        if not candidates:
            return []
        endpoint = min(candidates, key=lambda candidate: len(candidate.sessions))
        session.at, session.due = endpoint, now + ANSWER_WITHIN
        endpoint.sessions.add(session.started.session)
        return self._send(endpoint, now, session.started)

    def _candidates(
        self, session: Offer, besides: KnownEndpoint | None = None
    ) -> list[KnownEndpoint]:
        return [
            endpoint
            for endpoint in self._groups.get(session.started.backend, ())
            if endpoint.has_room
            and endpoint.name not in session.refused_by
            and endpoint is not besides
        ]

    def _withdraw(self, session: Offer, why: str, now: Instant) -> list[PoolOutput]:
        """That end point does not take it: the next one."""
        outputs: list[PoolOutput] = []
        name = session.started.session
        if session.at is not None:
            session.at.sessions.discard(name)
            session.refused_by.add(session.at.name)
            outputs += self._send(session.at, now, SessionEnded(name, "withdrawn", why))
        session.free(why, now)
        self._pending[name] = session
        placed = self._place(session, now)
        if not placed and session.refused_by >= {
            endpoint.name
            for endpoint in self._groups.get(session.started.backend, ())
            if endpoint.live
        }:
            outputs.append(self._give_up(session))
        return outputs + placed

    def _lose(self, endpoint: KnownEndpoint, now: Instant) -> list[PoolOutput]:
        """It is gone, and what it had goes to others."""
        endpoint.stop()
        orphans, endpoint.sessions = sorted(endpoint.sessions), set()
        outputs: list[PoolOutput] = []
        for name in orphans:
            session = self._sessions[name]
            session.waits_since = now
            session.free("its back end is gone", now)
            self._pending[name] = session
            outputs += self._place(session, now)
        return outputs

    def _send(self, endpoint: KnownEndpoint, now: Instant, item: ToBackend) -> list[PoolOutput]:
        if not endpoint.tells(item, now):
            return []
        endpoint.said_at = now
        return [Send(endpoint.name, (item,))]
