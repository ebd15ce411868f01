"""One call from its answer to its end, without sockets and clocks.

A controlling `Session` does the WebRTC; this adds what a caller wants of it: a voice, messages, a measure
of each phase, and the question whether it is over.

    SETTING_UP --connected--> TALKING --last frame sent--> LISTENING --all back, or grace over--> OVER
         |                       |                             |
         +------ the session closed before its time: failed ---+----------------------------> OVER
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from enum import Enum
from typing import Final, Protocol, assert_never

from config.ids import Instant
from ipc.messages.sessions import CloseReason
from workers.caller.echoes import Figures
from workers.caller.messages import Messages
from workers.caller.report import CallReport
from workers.caller.voice import Voice
from workers.transceiver.core.interface import (
    AudioReceived,
    CloseSession,
    CredentialsRetired,
    DatagramReceived,
    Dropped,
    IceCredentials,
    LimitNear,
    LossReported,
    MediaFared,
    NetworkChanged,
    Path,
    PathSelected,
    RestartIce,
    SendDatagram,
    SessionClosed,
    StandaloneEvent,
    StandaloneOutput,
    StateChanged,
    Unsent,
)
from workers.transceiver.core.reports import Reported
from workers.transceiver.core.sctp.interface import ChannelClosed, ChannelOpened, MessageReceived
from workers.transceiver.core.states import SessionState
from workers.transceiver.core.streams.interface import StreamStats

GRACE: Final = 2.0
"""Seconds of silence at the end after which what is still in flight counts as lost; messages, if nobody
says else.

On a busy machine a process stands still for one, and nothing is lost by that."""
MAX_GRACE: Final = 5
"""So many times as long after the last frame it does in any case."""


class Stage(Enum):
    """Where a call stands."""

    SETTING_UP = "setting up"
    TALKING = "talking"
    LISTENING = "listening"
    OVER = "over"


class OneDoor(Protocol):
    """What a call needs of its session."""

    @property
    def stats(self) -> StreamStats:
        """What came and went."""

    @property
    def round_trip(self) -> float | None:
        """Seconds, of the network."""

    @property
    def reported(self) -> Reported | None:
        """What the server says of what it gets."""

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
        voice: Voice,
        *,
        now: Instant,
        data: bool = False,
        number: int = 0,
        patience: float = GRACE,
    ) -> None:
        """Speak with `voice`, and with `data` send messages, too.

        `number`: this call's among those that are placed together. `patience`: seconds at the end without
        a message after which those in flight count as lost; audio that is lost does not come again.
        """
        self._session = session
        self._patience = patience
        self._answered = now
        self._checked: Instant | None = None
        self._connected: Instant | None = None
        self._said_all = now
        self._wanted: Instant | None = now
        """By the session."""
        self._channel_opened: Instant | None = None
        self._restarts = 0
        self._messages = Messages(number) if data else None
        self._asked = False
        """For the channel."""
        self._closed = False
        self._drops: Counter[str] = Counter()
        self.voice: Final = voice
        self.stage = Stage.SETTING_UP
        self.path: Path | None = None
        """Of media, once one was selected."""
        self.failure = ""
        """Why it failed, for a human; empty if it did not."""

    @property
    def connected(self) -> bool:
        """True once media may flow, and ever after."""
        return self._connected is not None

    @property
    def due(self) -> Instant:
        """When `tick` has something to do."""
        if self.stage is Stage.LISTENING:
            return -math.inf
        due = math.inf if self._wanted is None else self._wanted
        if self.stage is Stage.TALKING:
            due = min(due, self.voice.due)
            if self._messages is not None:
                due = min(due, self._messages.due)
        return due

    def receive(self, path: Path, datagram: bytes, now: Instant) -> list[SendDatagram]:
        """A datagram came."""
        return self.take(DatagramReceived(path, datagram), now)

    def take(self, event: StandaloneEvent, now: Instant) -> list[SendDatagram]:
        """Something came for the session."""
        sends = self._take(self._session.handle(event, now), now)
        return sends + self._ask_for_channel(now)

    def tick(self, now: Instant) -> list[SendDatagram]:
        """Once every 20 ms, or at least when `due`: timers, and what there is to say."""
        sends: list[SendDatagram] = []
        if self._wanted is not None and now >= self._wanted:
            sends += self._take(self._session.handle_timeout(now), now)
        sends += self._ask_for_channel(now)
        if self.stage is Stage.TALKING:
            sends += self._talk(now)
        elif self.stage is Stage.LISTENING and self._heard_enough(now):
            self._finish()
        return sends

    def stop_talking(self) -> None:
        """Send no more frames; wait for those in flight."""
        self.voice.stop()

    def restart(
        self, local: IceCredentials, remote: IceCredentials, now: Instant
    ) -> list[SendDatagram]:
        """The server has answered an ICE restart with `remote`."""
        return self._take(self._session.handle(RestartIce(local, remote), now), now)

    def network_changed(self, now: Instant) -> list[SendDatagram]:
        """What is sent from now on leaves from another address."""
        self._take(self._session.handle(NetworkChanged(), now), now)
        return self._take(self._session.handle_timeout(now), now)

    def fail(self, why: str) -> None:
        """It has gone wrong outside, and is over."""
        self.failure = self.failure or why
        self._finish()

    def hang_up(self, now: Instant) -> list[SendDatagram]:
        """End the session from here; harmless if it has ended already."""
        self._finish()
        if self._closed:
            return []
        return self._take(self._session.handle(CloseSession(CloseReason.HANGUP), now), now)

    def report(self, http: float, error: str = "") -> CallReport:
        """What it was like; `http` is the seconds that the answer took, `error` a failure outside."""
        figures, messages = self.voice.figures, self._messages
        heard = [figures, *([messages.echoes] if messages else ())]
        first_sent = _least(each.first_sent for each in heard)
        first_back = _least(each.first_back for each in heard)
        marks = {
            "ice": (self._answered, self._checked),
            "dtls": (self._checked, self._connected),
            "connected": (self._answered, self._connected),
            "channel": (self._answered, self._channel_opened),
            "first_packet": (first_sent, first_back),
        }
        phases = {"http": http} | {
            phase: end - start
            for phase, (start, end) in marks.items()
            if start is not None and end is not None
        }
        if first_back is not None:
            phases["setup"] = http + first_back - self._answered
        return CallReport(
            error=error or self.failure,
            phases=phases,
            sent=figures.sent,
            received=figures.received,
            lost=figures.lost,
            duplicates=figures.duplicates,
            reordered=figures.reordered,
            foreign=figures.foreign,
            jitter=figures.jitter,
            round_trips=self.voice.round_trips,
            messages_sent=messages.echoes.sent if messages else 0,
            messages_received=messages.echoes.received if messages else 0,
            messages_astray=messages.echoes.astray if messages else {},
            message_round_trips=messages.echoes.round_trips if messages else None,
            restarts=self._restarts,
            drops=dict(self._drops),
            network=self._session.round_trip,
            up=self._session.reported,
            down=self._session.stats if self._session.stats.packets_in else None,
        )

    def _talk(self, now: Instant) -> list[SendDatagram]:
        if self.voice.over:
            self.stage, self._said_all = Stage.LISTENING, now
            return []
        sends: list[SendDatagram] = []
        if (frame := self.voice.frame(now)) is not None:
            sends += self._take(self._session.handle(frame, now), now)
        if self._messages is not None and (message := self._messages.next(now)) is not None:
            sends += self._take(self._session.handle(message, now), now)
        return sends

    def _heard_enough(self, now: Instant) -> bool:
        if self._may_come(self.voice.figures, GRACE, now):
            return False
        return not (self._messages and self._may_come(self._messages.echoes, self._patience, now))

    def _may_come(self, figures: Figures, patience: float, now: Instant) -> bool:
        if not figures.outstanding:
            return False
        quiet_since = max(self._said_all, figures.last_back or 0.0)
        return now < min(quiet_since + patience, self._said_all + MAX_GRACE * patience)

    def _take(self, outputs: list[StandaloneOutput], now: Instant) -> list[SendDatagram]:
        sends = []
        for output in outputs:
            match output:
                case SendDatagram():
                    sends.append(output)
                case AudioReceived():
                    self.voice.came(output, now)
                case StateChanged(state):
                    self._entered(state, now)
                case SessionClosed(reason, detail):
                    self._end(reason, detail)
                case Dropped(reason):
                    self._drops[reason.value] += 1
                case CredentialsRetired():
                    self._restarts += 1
                case MessageReceived():
                    if self._messages is not None:
                        self._messages.came(output, now)
                case ChannelOpened():
                    if self._messages is not None and not output.by_peer:
                        self._messages.opened(output.channel, now)
                        self._channel_opened = now
                case PathSelected(path):
                    self.path = path
                case LossReported() | MediaFared() | LimitNear():
                    pass
                case ChannelClosed() | Unsent():
                    pass  # what was not sent, or not answered, is missed by `_messages`
                case _:
                    assert_never(output)
        self._wanted = self._session.next_timeout()
        return sends

    def _ask_for_channel(self, now: Instant) -> list[SendDatagram]:
        if self._messages is None or self._asked or self._connected is None:
            return []
        self._asked = True
        return self._take(self._session.handle(self._messages.request(), now), now)

    def _entered(self, state: SessionState, now: Instant) -> None:
        match state:
            case SessionState.CHECKING:
                self._checked = now
            case SessionState.CONNECTED:
                self._connected = now
                self.stage = Stage.TALKING
                self.voice.begin(now)
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
        if self.stage is Stage.LISTENING:
            self.failure = self.failure or self._missed()
        self.stage = Stage.OVER

    def _missed(self) -> str:
        """What should have come back and did not at all, for a human."""
        figures = self.voice.figures
        if figures.sent and not (figures.received or figures.foreign):
            return "connected, but no audio came back"
        if self._messages is not None and not self._messages.open:
            return "connected, but the data channel did not open"
        if self._messages is not None and not self._messages.echoes.received:
            return "connected, but no message came back"
        return ""


def _least(instants: Iterable[Instant | None]) -> Instant | None:
    """The first of those that there are."""
    return min((each for each in instants if each is not None), default=None)


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
