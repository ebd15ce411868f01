"""Sessions joined with their back ends."""

from __future__ import annotations

from collections.abc import Mapping

from config.ids import Instant, SessionId
from workers.transceiver.backends.base import Backend
from workers.transceiver.core.interface import (
    BackendCrashed,
    Created,
    FromSession,
    SessionClosed,
    SessionsEvent,
    SessionsOutput,
)
from workers.transceiver.core.sessions import Sessions


class Exchange:
    """The same door as `Sessions`, with the back ends behind it.

    A bug in a back end costs the session that met it, like one in the session itself.
    """

    def __init__(self, sessions: Sessions, backends: Mapping[str, Backend]) -> None:
        self.sessions = sessions
        self._backends = backends
        self._serving: dict[SessionId, Backend] = {}

    def handle(self, event: SessionsEvent, now: Instant) -> list[SessionsOutput]:
        """As `Sessions.handle`; the back ends have already had, and answered, what was theirs."""
        return self._consult(self.sessions.handle(event, now), now)

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` is next worth calling."""
        return self.sessions.next_timeout()

    def handle_timeout(self, now: Instant) -> list[SessionsOutput]:
        """As `Sessions.handle_timeout`."""
        return self._consult(self.sessions.handle_timeout(now), now)

    def _consult(self, outputs: list[SessionsOutput], now: Instant) -> list[SessionsOutput]:
        # The list grows while it is read: what a back end wants done has outputs of its own.
        for output in outputs:
            if isinstance(output, FromSession):
                self._tell(output, outputs, now)
            elif isinstance(output, Created):
                self._serving[output.session] = self._backends[output.backend]
        return outputs

    def _tell(self, output: FromSession, outputs: list[SessionsOutput], now: Instant) -> None:
        session = output.session
        backend = self._serving.get(session)
        if isinstance(output.output, SessionClosed):
            self._serving.pop(session, None)
        if backend is None:
            return
        try:
            replies = backend.handle(output, now)
        except Exception as error:  # session isolation
            outputs += self.sessions.handle(BackendCrashed(session, error), now)
            return
        for reply in replies:
            outputs += self.sessions.handle(reply, now)
