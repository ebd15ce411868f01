"""Sessions joined with their back ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import ParamSpec

import msgspec

from config.ids import Instant, SessionId
from ipc.messages.details import FindSession, SessionDetail
from ipc.messages.sessions import CloseReason, Problem
from workers.transceiver.backends.base import Away, Backend, Unfit
from workers.transceiver.backends.sidebands import Sidebands
from workers.transceiver.core.interface import (
    BackendCrashed,
    CloseSession,
    Created,
    ForSession,
    FromSession,
    Refused,
    SessionClosed,
    SessionsEvent,
    SessionsOutput,
)
from workers.transceiver.core.roster import MIN_TIMER
from workers.transceiver.core.sctp.interface import SendMessage
from workers.transceiver.core.sessions import Sessions
from workers.transceiver.core.streams.interface import FrameReceived
from workers.transceiver.core.timers import Timers

P = ParamSpec("P")


class Exchange:
    """The same door as `Sessions`, with the back ends behind it.

    A bug in a back end costs the session that met it, like one in the session itself.
    """

    def __init__(self, sessions: Sessions, backends: Mapping[str, Backend]) -> None:
        self.sessions = sessions
        self.sidebands = Sidebands()
        self._backends = backends
        self._serving: dict[SessionId, Backend] = {}
        self._timers: Timers[SessionId] = Timers()

    def handle(self, event: SessionsEvent, now: Instant) -> list[SessionsOutput]:
        """As `Sessions.handle`; the back ends have already had, and answered, what was theirs."""
        if type(event) is FrameReceived:
            return self._hear(event, now)
        return self._consult(self.sessions.handle(event, now), now)

    def detail(self, question: FindSession, now: Instant) -> SessionDetail | None:
        """As `Sessions.detail`, and who serves the session."""
        detail = self.sessions.detail(question, now)
        backend = None if detail is None else self._serving.get(detail.summary.session)
        if detail is None or backend is None:
            return detail
        name = next(name for name, other in self._backends.items() if other is backend)
        endpoint = backend.endpoint(detail.summary.session)
        return msgspec.structs.replace(detail, backend=name, endpoint=endpoint)

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` is next worth calling."""
        ours, theirs = self._timers.next(), self.sessions.next_timeout()
        if ours is None or theirs is None:
            return theirs if ours is None else ours
        return min(ours, theirs)

    def handle_timeout(self, now: Instant) -> list[SessionsOutput]:
        """As `Sessions.handle_timeout`; back ends whose time has come have had their turn, too."""
        outputs = self.sessions.handle_timeout(now)
        for session in self._timers.due(now):
            backend = self._serving.get(session)
            if backend is not None and not self._play(backend, session, outputs, now):
                self._ask(backend, session, outputs, now, backend.handle_timeout, session, now)
        return self._consult(outputs, now)

    def prompt(
        self, wanted: Iterable[ForSession], touched: Iterable[SessionId], now: Instant
    ) -> list[SessionsOutput]:
        """A back end wants this done without having been asked; `touched` may have other time-outs."""
        outputs: list[SessionsOutput] = []
        for event in wanted:
            outputs += self._consult(self._do(event, now), now)
        for session in touched:
            if (backend := self._serving.get(session)) is not None:
                self._arm(backend, session, now)
        return outputs

    def overhear(self, heard: Iterable[FromSession], now: Instant) -> list[SessionsOutput]:
        """Sidebands make the back end of a session hear this, as if the session had said it."""
        outputs: list[SessionsOutput] = []
        for event in heard:
            if (backend := self._serving.get(event.session)) is not None:
                self._ask(backend, event.session, outputs, now, backend.handle, event, now)
        return self._consult(outputs, now)

    def _do(self, wanted: ForSession, now: Instant) -> list[SessionsOutput]:
        """What a back end wants done."""
        if type(wanted.event) is SendMessage:
            copied = self.sidebands.copy(wanted.session, wanted.event)
            return [] if copied is None else self.sessions.handle(copied, now)
        return self.sessions.handle(wanted, now)

    def _hear(self, frame: FrameReceived, now: Instant) -> list[SessionsOutput]:
        """One frame, as often as all else together: told and answered without detours."""
        outputs: list[SessionsOutput] = []
        session = self.sessions.speaker(frame.stream)
        backend = None if session is None else self._serving.get(session)
        if session is None or backend is None:
            return outputs
        try:
            # When it came: that we were late to look is no jitter of the network's.
            replies = backend.hear(session, frame.audio, frame.at)
            if replies is None:
                return outputs
            self._arm(backend, session, now)
        except Exception as error:  # session isolation
            return self._consult(self.sessions.handle(BackendCrashed(session, error), now), now)
        for reply in replies:
            outputs += self._do(reply, now)
        return self._consult(outputs, now)

    def _play(
        self, backend: Backend, session: SessionId, outputs: list[SessionsOutput], now: Instant
    ) -> bool:
        """The way back of frames, as direct as that of `_hear`."""
        try:
            played = backend.play(session, now)
        except Exception as error:  # session isolation
            outputs += self.sessions.handle(BackendCrashed(session, error), now)
            return True
        if played is None:
            return False
        frames, due = played
        for frame in frames:
            outputs += self.sessions.send(session, frame)
        self._timers.set(session, due)
        return True

    def _consult(self, outputs: list[SessionsOutput], now: Instant) -> list[SessionsOutput]:
        # The list grows while it is read: what a back end wants done has outputs of its own.
        for index, output in enumerate(outputs):
            if isinstance(output, FromSession):
                self._tell(output, outputs, now)
            elif isinstance(output, Created):
                outputs[index] = self._begin(output, outputs, now)
        return outputs

    def _begin(
        self, created: Created, outputs: list[SessionsOutput], now: Instant
    ) -> Created | Refused:
        session, backend = created.session, self._backends[created.backend]
        try:
            backend.begin(created, now)
        except (Unfit, Away) as error:
            close = ForSession(session, CloseSession(CloseReason.BACKEND_ENDED))
            outputs += self.sessions.handle(close, now)
            away = isinstance(error, Away)
            problem = Problem.BACKEND_AWAY if away else Problem.UNFIT_BACKEND
            return Refused(created.ticket, problem, str(error))
        except Exception as error:  # session isolation
            outputs += self.sessions.handle(BackendCrashed(session, error), now)
            detail = "the back end could not take the session"
            return Refused(created.ticket, Problem.INTERNAL_ERROR, detail)
        self._serving[session] = backend
        self.sidebands.begin(created)
        self._arm(backend, session, now)
        return created

    def _tell(self, output: FromSession, outputs: list[SessionsOutput], now: Instant) -> None:
        session = output.session
        backend = self._serving.get(session)
        heard = self.sidebands.hear(output)
        if isinstance(output.output, SessionClosed):
            self._serving.pop(session, None)
            self._timers.remove(session)
        for wanted in heard.wanted:
            outputs += self.sessions.handle(wanted, now)
        if backend is not None:
            for passed in heard.passed:
                self._ask(backend, session, outputs, now, backend.handle, passed, now)

    def _ask(
        self,
        backend: Backend,
        session: SessionId,
        outputs: list[SessionsOutput],
        now: Instant,
        ask: Callable[P, list[ForSession]],
        *of: P.args,
        **named: P.kwargs,
    ) -> None:
        """Have a back end do something for a session, and do what it wants."""
        try:
            replies = ask(*of, **named)
            if session in self._serving:
                self._arm(backend, session, now)
        except Exception as error:  # session isolation
            outputs += self.sessions.handle(BackendCrashed(session, error), now)
            return
        for reply in replies:
            outputs += self._do(reply, now)

    def _arm(self, backend: Backend, session: SessionId, now: Instant) -> None:
        deadline = backend.next_timeout(session)
        if deadline is not None:
            self._timers.set(session, max(deadline, now + MIN_TIMER))
