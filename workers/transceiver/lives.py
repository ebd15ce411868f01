"""The log of sessions: a line when one is connected, which says how it came about, and one when it ends.

`tandem logs --session ID` finds both. Sessions beyond a rate have none (ipc/log_limit.py); events tell of
them all.
"""

from __future__ import annotations

from config.ids import Instant, SessionId
from ipc.log import Logger
from workers.transceiver.core.interface import (
    Created,
    FromSession,
    Path,
    PathSelected,
    SessionClosed,
    StateChanged,
)
from workers.transceiver.core.states import SessionState


class Lives:
    """Of the sessions that live, what their lines are made of."""

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._lives: dict[SessionId, _Life] = {}

    def begin(self, created: Created, now: Instant) -> None:
        """An offer has been answered."""
        self._lives[created.session] = _Life(created.backend, now)

    def hear(self, event: FromSession, now: Instant) -> None:
        """What a session says of itself."""
        if isinstance(event.output, SessionClosed):
            self._end(event.session, event.output, now)
        elif (life := self._lives.get(event.session)) is not None:
            match event.output:
                case PathSelected(path):
                    life.path = path
                case StateChanged(SessionState.CHECKING):
                    life.checked_at = now
                case StateChanged(SessionState.CONNECTED):
                    life.connected = True
                    self._log.info(
                        "session connected",
                        session=event.session,
                        backend=life.backend,
                        path=str(life.path or ""),
                        ice_ms=_ms(life.checked_at - life.began_at),
                        dtls_ms=_ms(now - life.checked_at),
                    )
                case _:
                    pass

    def _end(self, session: SessionId, closed: SessionClosed, now: Instant) -> None:
        life, fared = self._lives.pop(session, None), closed.fared
        fields: dict[str, object] = {}
        if closed.detail:
            fields["why"] = closed.detail
        if life is not None:  # its back end has taken it
            fields["backend"] = life.backend
            fields["connected"] = life.connected
            fields["seconds"] = round(now - life.began_at, 1)
        if fared is not None:
            media = fared.media
            fields |= {
                "packets_in": media.packets_in,
                "lost_in": media.lost,
                "jitter_ms": _ms(media.jitter),
                "packets_out": media.packets_out,
            }
            if fared.lost_out is not None:
                fields["lost_out"] = fared.lost_out
        self._log.info("session ended", session=session, reason=closed.reason.value, **fields)


class _Life:
    __slots__ = ("backend", "began_at", "checked_at", "connected", "path")

    def __init__(self, backend: str, now: Instant) -> None:
        self.backend = backend
        self.path: Path | None = None
        self.began_at = now
        self.checked_at = now
        """The first check with the right key: until then the answer, and the client, were on their way."""
        self.connected = False


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
