"""What the table of sessions keeps of each, and what it needs of a session to keep it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from config.ids import Instant, SessionId
from ipc.messages.sessions import SessionSummary
from workers.transceiver.core.facts import Facts
from workers.transceiver.core.interface import (
    IceCredentials,
    Path,
    SessionEvent,
    SessionOutput,
    SessionParameters,
)
from workers.transceiver.core.quality import Loss
from workers.transceiver.core.reports import Reported
from workers.transceiver.core.states import SessionState
from workers.transceiver.core.streams.interface import LinkLabel, Stream, StreamStats


class SessionCore(Protocol):
    """What this table needs of a session; `Session` is one."""

    @property
    def media_path(self) -> Path | None: ...  # noqa: D102
    @property
    def round_trip(self) -> float | None: ...  # noqa: D102
    @property
    def reported(self) -> Reported | None: ...  # noqa: D102
    def facts(self, now: Instant) -> Facts: ...  # noqa: D102
    def handle(self, event: SessionEvent, now: Instant) -> list[SessionOutput]: ...  # noqa: D102
    def next_timeout(self) -> Instant | None: ...  # noqa: D102
    def handle_timeout(self, now: Instant) -> list[SessionOutput]: ...  # noqa: D102


NewSession = Callable[[SessionParameters, Instant], SessionCore]


class Entry:
    """One session and what the table knows of it."""

    __slots__ = (
        "core", "created_at", "id", "key", "local", "loss", "parameters", "path", "remote", "state",
        "stream",
        "target", "tried", "ufrags", "wanted", "way",
    )  # fmt: skip

    def __init__(
        self,
        id_: SessionId,
        parameters: SessionParameters,
        core: SessionCore,
        now: Instant,
        *,
        key: str = "",
    ) -> None:
        """`key`: name of the API key that it was placed with."""
        self.id = id_
        self.key = key
        self.parameters = parameters
        self.core = core
        self.local, self.remote = parameters.local, parameters.remote
        """Credentials of the last answer: of an ICE restart, if there was one."""
        self.ufrags = [parameters.local.ufrag]
        """Of ours, all that are good: two during a restart."""
        self.created_at = now
        self.state = SessionState.WAITING
        self.path: Path | None = None
        self.wanted: Instant | None = None
        """What the timer was set to; None makes the next look set it again."""
        self.stream: Stream | None = None
        """Its audio in the media plane, from when there are keys."""
        self.way: LinkLabel | None = None
        """Where the plane sends it."""
        self.target: Entry | None = None
        """To whom it is forwarded, or will be."""
        self.loss = Loss()
        """Of its audio, as counted for all."""
        self.tried: tuple[LinkLabel, Path] | None = None
        """A recovered flow whose media the plane has yet to authenticate."""

    def renew(self, local: IceCredentials, remote: IceCredentials) -> None:
        """An ICE restart begins with these."""
        self.local, self.remote = local, remote
        self.ufrags.append(local.ufrag)

    def summary(self, stats: StreamStats, now: Instant) -> SessionSummary:
        """A row of `tandem sessions`."""
        codecs = self.parameters.audio.codecs if self.parameters.audio else ()
        heard = (codec for codec in codecs if codec.payload_type == stats.payload_type)
        codec = next(heard, next(iter(codecs), None))
        round_trip, reported = self.core.round_trip, self.core.reported
        return SessionSummary(
            session=self.id,
            state=self.state.value,
            age=now - self.created_at,
            path=str(self.path) if self.path is not None else "",
            codec=codec.name if codec else "",
            packets_in=stats.packets_in,
            packets_out=stats.packets_out,
            lost=stats.lost,
            jitter_ms=stats.jitter * 1000,
            round_trip_ms=None if round_trip is None else round_trip * 1000,
            peer_lost=None if reported is None else reported.lost,
            peer_jitter_ms=None if reported is None else reported.jitter * 1000,
        )
