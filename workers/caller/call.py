"""One call from its answer to its end, without sockets and clocks.

A controlling `Session` does the WebRTC; this adds what a caller wants of it: frames on a tick, a
measure of each phase, and the question whether it is over.

    SETTING_UP --connected--> TALKING --last frame sent--> LISTENING --all back, or grace over--> OVER
         |                       |                             |
         +------ the session closed before its time: failed ---+----------------------------> OVER
"""

from __future__ import annotations

from collections import Counter
from enum import Enum
from typing import Final, Protocol, assert_never

from config.ids import Instant
from ipc.messages.sessions import CloseReason
from workers.caller.echoes import Echoes
from workers.caller.report import CallReport
from workers.caller.source import FRAME_SECONDS, Source
from workers.transceiver.core.interface import (
    AudioReceived,
    CloseSession,
    Codec,
    CredentialsRetired,
    DatagramReceived,
    Dropped,
    Path,
    LossReported,
    PathSelected,
    SendAudio,
    SendDatagram,
    SessionClosed,
    StandaloneEvent,
    StandaloneOutput,
    StateChanged,
)
from workers.transceiver.core.sctp.interface import ChannelClosed, ChannelOpened, MessageReceived
from workers.transceiver.core.states import SessionState

GRACE: Final = 0.5
"""Seconds of silence at the end after which what is still in flight counts as lost."""
MAX_GRACE: Final = 5.0
"""Seconds after the last frame after which it does in any case."""
_WRAP: Final = 1 << 32


class Stage(Enum):
    """Where a call stands."""

    SETTING_UP = "setting up"
    TALKING = "talking"
    LISTENING = "listening"
    OVER = "over"


class OneDoor(Protocol):
    """What a call needs of its session."""

    def handle(self, event: StandaloneEvent, now: Instant) -> list[StandaloneOutput]:
        """Take an event."""

    def next_timeout(self) -> Instant | None:
        """When to call `handle_timeout`."""

    def handle_timeout(self, now: Instant) -> list[StandaloneOutput]:
        """Do what is due."""


class Call:
    """Drives one session. Every method returns the datagrams to send."""

    def __init__(
        self,
        session: OneDoor,
        source: Source,
        codec: Codec,
        *,
        frames: int,
        first_timestamp: int,
        now: Instant,
    ) -> None:
        self._session = session
        self._source = source
        self._codec = codec
        self._frames = frames
        self._first_timestamp = first_timestamp
        self._answered = now
        self._checked: Instant | None = None
        self._connected: Instant | None = None
        self._first_sent: Instant | None = None
        self._first_back: Instant | None = None
        self._last_sent = self._last_back = now
        self._due: Instant | None = now
        self._closed = False
        self._drops: Counter[str] = Counter()
        self.stage = Stage.SETTING_UP
        self.failure = ""
        """Why it failed, for a human; empty if it did not."""
        self.echoes = Echoes()

    @property
    def connected(self) -> bool:
        """True once media may flow, and ever after."""
        return self._connected is not None

    def receive(self, path: Path, datagram: bytes, now: Instant) -> list[SendDatagram]:
        """A datagram came."""
        return self._take(self._session.handle(DatagramReceived(path, datagram), now), now)

    def tick(self, now: Instant) -> list[SendDatagram]:
        """Once every 20 ms: due timers, and the next frame if it is time to talk."""
        sends: list[SendDatagram] = []
        if self._due is not None and now >= self._due:
            sends += self._take(self._session.handle_timeout(now), now)
        if self.stage is Stage.TALKING:
            sends += self._talk(now)
        elif self.stage is Stage.LISTENING and self._heard_enough(now):
            self._finish()
        return sends

    def stop_talking(self) -> None:
        """Send no more frames; wait for those in flight."""
        self._frames = min(self._frames, self.echoes.sent)

    def hang_up(self, now: Instant) -> list[SendDatagram]:
        """End the session from here; harmless if it has ended already."""
        self._finish()
        if self._closed:
            return []
        return self._take(self._session.handle(CloseSession(CloseReason.HANGUP), now), now)

    def report(self, http: float, error: str = "") -> CallReport:
        """What it was like; `http` is the seconds that the answer took, `error` a failure outside."""
        marks = {
            "ice": (self._answered, self._checked),
            "dtls": (self._checked, self._connected),
            "connected": (self._answered, self._connected),
            "first_packet": (self._first_sent, self._first_back),
        }
        phases = {"http": http} | {
            phase: end - start
            for phase, (start, end) in marks.items()
            if start is not None and end is not None
        }
        if self._first_back is not None:
            phases["setup"] = http + self._first_back - self._answered
        echoes = self.echoes
        return CallReport(
            error=error or self.failure,
            phases=phases,
            sent=echoes.sent,
            received=echoes.received,
            lost=echoes.lost,
            duplicates=echoes.duplicates,
            reordered=echoes.reordered,
            foreign=echoes.foreign,
            jitter=echoes.jitter,
            round_trips=echoes.round_trips,
            drops=dict(self._drops),
        )

    def _talk(self, now: Instant) -> list[SendDatagram]:
        index = self.echoes.sent
        if index >= self._frames:
            self.stage = Stage.LISTENING
            return []
        if self._first_sent is None:
            self._first_sent = now
        self._last_sent = now
        self.echoes.went(index, now)
        audio = SendAudio(
            self._source.frame(index),
            (self._first_timestamp + index * self._source.step) % _WRAP,
            self._codec.payload_type,
            marker=index == 0,
        )
        return self._take(self._session.handle(audio, now), now)

    def _heard_enough(self, now: Instant) -> bool:
        quiet_since = max(self._last_sent, self._last_back)
        return (
            not self.echoes.outstanding
            or now >= quiet_since + GRACE
            or now >= self._last_sent + MAX_GRACE
        )

    def _take(self, outputs: list[StandaloneOutput], now: Instant) -> list[SendDatagram]:
        sends = []
        for output in outputs:
            match output:
                case SendDatagram():
                    sends.append(output)
                case AudioReceived():
                    self._heard(output, now)
                case StateChanged(state):
                    self._entered(state, now)
                case SessionClosed(reason, detail):
                    self._end(reason, detail)
                case Dropped(reason):
                    self._drops[reason.value] += 1
                case PathSelected() | LossReported() | CredentialsRetired():
                    pass
                case ChannelOpened() | MessageReceived() | ChannelClosed():
                    pass
                case _:
                    assert_never(output)
        self._due = self._session.next_timeout()
        return sends

    def _heard(self, audio: AudioReceived, now: Instant) -> None:
        elapsed = (audio.timestamp - self._first_timestamp) % _WRAP
        index = self._source.index_of(audio.payload, elapsed)
        if index is not None:
            self._last_back = now
            if self._first_back is None:
                self._first_back = now
        self.echoes.came(index, elapsed / self._source.step * FRAME_SECONDS, now)

    def _entered(self, state: SessionState, now: Instant) -> None:
        match state:
            case SessionState.CHECKING:
                self._checked = now
            case SessionState.CONNECTED:
                self._connected = now
                self.stage = Stage.TALKING
            case SessionState.WAITING | SessionState.CLOSED:
                pass
            case _:
                assert_never(state)

    def _end(self, reason: CloseReason, detail: str) -> None:
        self._closed = True
        if self.stage is Stage.OVER:
            return
        self.failure = _explain(reason, detail, checked=self._checked is not None)
        self._finish()

    def _finish(self) -> None:
        if self.stage is Stage.LISTENING and not (self.echoes.received or self.echoes.foreign):
            self.failure = self.failure or "connected, but no audio came back"
        self.stage = Stage.OVER


_EXPLANATIONS: Final[dict[CloseReason, str]] = {
    CloseReason.PEER_CLOSED: "the server ended the call early",
    CloseReason.CONSENT_EXPIRED: "the server fell silent",
    CloseReason.FINGERPRINT_MISMATCH: "the server's certificate is not the one in its answer",
    CloseReason.DTLS_FAILED: "the DTLS handshake failed",
}


def _explain(reason: CloseReason, detail: str, *, checked: bool) -> str:
    if reason is CloseReason.CONNECT_TIMEOUT:
        text = "the DTLS handshake did not end" if checked else "no answer to ICE checks"
    else:
        text = _EXPLANATIONS.get(reason, f"the session closed: {reason.value}")
    return f"{text} ({detail})" if detail else text
