"""What the table of sessions keeps of each, and what it needs of a session to keep it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from config.ids import Instant, SessionId
from ipc.messages.sessions import SessionSummary
from workers.transceiver.core.interface import (
    Codec,
    Path,
    SessionEvent,
    SessionOutput,
    SessionParameters,
)
from workers.transceiver.core.reception import Reception
from workers.transceiver.core.states import SessionState


class SessionCore(Protocol):
    """What this table needs of a session; `Session` is one."""

    @property
    def codec(self) -> Codec | None: ...  # noqa: D102
    @property
    def reception(self) -> Reception: ...  # noqa: D102
    def handle(self, event: SessionEvent, now: Instant) -> list[SessionOutput]: ...  # noqa: D102
    def next_timeout(self) -> Instant | None: ...  # noqa: D102
    def handle_timeout(self, now: Instant) -> list[SessionOutput]: ...  # noqa: D102


NewSession = Callable[[SessionParameters, Instant], SessionCore]


class Entry:
    """One session and what the table knows of it."""

    __slots__ = (
        "audio_in", "audio_out", "core", "created_at", "id", "parameters", "path", "state",
        "wanted",
    )  # fmt: skip

    def __init__(
        self, id_: SessionId, parameters: SessionParameters, core: SessionCore, now: Instant
    ) -> None:
        self.id = id_
        self.parameters = parameters
        self.core = core
        self.created_at = now
        self.state = SessionState.WAITING
        self.path: Path | None = None
        self.wanted: Instant | None = None
        """What the timer was set to; None makes the next look set it again."""
        self.audio_in = 0
        self.audio_out = 0

    def summary(self, now: Instant) -> SessionSummary:
        """A row of `tandem sessions`."""
        audio, reception = self.parameters.audio, self.core.reception
        codec = self.core.codec or (audio.codecs[0] if audio else None)
        return SessionSummary(
            session=self.id,
            state=self.state.value,
            age=now - self.created_at,
            path=str(self.path) if self.path is not None else "",
            codec=codec.name if codec else "",
            packets_in=self.audio_in,
            packets_out=self.audio_out,
            lost=reception.lost,
            jitter_ms=reception.jitter * 1000,
        )
