"""One client's life: ICE finds and keeps a path, DTLS makes keys on it, for somebody else to carry audio.

    datagram --first byte (RFC 7983)--> STUN  --> Ice    answers, proven paths, the selected one
                                        DTLS  --> Dtls   flights, keys; only from verified paths
                                           SCTP --> Association   data channels, if agreed

SRTP never comes here: `OpenMedia` hands keys and numbers to whoever carries it (a media plane, or
standalone.py), who says in return when media was seen where, and passes RTCP on.

The same class stands on both ends; the parameters say who controls and who sends the ClientHello.
Whatever the peer sends, `handle` does not raise: bad input is a `Dropped`, a dead peer a
`SessionClosed`. See states.py for the table of transitions that every change goes through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final, assert_never

from config.ids import Instant
from ipc.messages.sessions import CloseReason
from workers.transceiver.core.audio import REPLAY_WINDOW
from workers.transceiver.core.data import Data
from workers.transceiver.core.dtls import MTU, Dtls, DtlsIdentity, DtlsResult, DtlsState
from workers.transceiver.core.facts import Facts, facts_of
from workers.transceiver.core.flights import Flights
from workers.transceiver.core.ice import Ice, IceOutput, PathProven
from workers.transceiver.core.interface import (
    ChannelEvent,
    CloseSession,
    DatagramReceived,
    Dropped,
    DtlsRole,
    LimitNear,
    LossReported,
    MeasureMedia,
    MediaArrived,
    MediaFared,
    MediaMeasured,
    NetworkChanged,
    OpenMedia,
    Path,
    ReportArrived,
    RestartIce,
    SendReport,
    SessionClosed,
    SessionEvent,
    SessionOutput,
    SessionParameters,
    StateChanged,
)
from workers.transceiver.core.limits import Limits
from workers.transceiver.core.paths import PathState
from workers.transceiver.core.reports import Reported, Reports
from workers.transceiver.core.sctp import interface as sctp
from workers.transceiver.core.sctp.association import Association
from workers.transceiver.core.sctp.tally import Tally
from workers.transceiver.core.sped import MAX_EMBEDDED, Sped
from workers.transceiver.core.srtp import MAX_PACKET
from workers.transceiver.core.states import TRANSITIONS, SessionState
from workers.wire.demux import KINDS, Kind
from workers.wire.types import DropReason, Malformed


class Session:
    """Sans-IO: `now` is passed in, what is to be done comes out as a list of outputs."""

    def __init__(
        self,
        parameters: SessionParameters,
        identity: DtlsIdentity,
        entropy: Callable[[int], bytes],
        now: Instant,
        wall: float = 0.0,
        tally: Tally | None = None,
    ) -> None:
        """`wall` plus an instant is seconds since 1970, for reports. `tally` counts messages."""
        self.state = SessionState.WAITING
        self.created_at: Final = now
        self._parameters = parameters
        sped, role = parameters.sped, parameters.dtls_role
        mtu = MAX_EMBEDDED if sped else MTU
        media = parameters.audio is not None
        self._dtls = Dtls(identity, role, parameters.remote_fingerprints, mtu, media=media)
        self._sped = Sped(self._dtls) if sped else None
        if sped and role is DtlsRole.ACTIVE:
            self._dtls.prepare(now)  # the first check is to carry it
        self._ice = Ice(parameters, entropy, now, self._sped)
        self._paths = self._ice.paths
        self._flights: Final = Flights()
        self._confirmed = False
        told = parameters.ssrc
        self._ssrc = int.from_bytes(entropy(4), "big") if told is None else told
        # RFC 3711, 3.3.1: begin low, so that loss around the first wrap cannot upset the rollover; but
        # not so low that a late packet before the first one would be before the wrap.
        self._sequence = (int.from_bytes(entropy(2), "big") >> 1) + REPLAY_WINDOW
        self.reports: Final = Reports(self._ssrc, parameters.audio, entropy, wall)
        associate = partial(Association, entropy=entropy, tally=tally)
        self._data: Final = Data(self._dtls, self._paths, associate)
        self._connect_by = now + parameters.connect_timeout
        self._limits = Limits(parameters.max_duration, parameters.idle_timeout)
        self._timeout = self._earliest_timeout()

    # --- for summaries ----------------------------------------------------------------------------

    @property
    def selected_path(self) -> Path | None:
        """Where media goes."""
        selected = self._paths.selected
        return None if selected is None else selected.path

    @property
    def media_path(self) -> Path | None:
        """Where media may go now: the selected path, once there are keys and it is proven."""
        selected = self._paths.selected
        if selected is None or not selected.proven or self.state is not SessionState.CONNECTED:
            return None
        return selected.path

    def accepts_from(self, path: Path) -> bool:
        """True if a check on that path passed MESSAGE-INTEGRITY."""
        state = self._paths.get(path)
        return state is not None and state.verified

    @property
    def round_trip(self) -> float | None:
        """Seconds, by the peer's last report; before any, by our last answered check."""
        reported = self.reports.round_trip
        return self._ice.round_trip if reported is None else reported

    @property
    def reported(self) -> Reported | None:
        """What the peer said last of the audio that it gets."""
        return self.reports.reported

    def facts(self, now: Instant) -> Facts:
        """All that operators may want to know."""
        connected, waiting = (
            self.state is state for state in (SessionState.CONNECTED, SessionState.WAITING)
        )
        by = None if connected else self._connect_by, None if waiting else self._consent_until()
        role, limits = self._parameters.dtls_role, self._limits
        data = self._data.association
        return facts_of(self._ice, self._dtls, role, data, limits, by, now)

    # --- the one door -----------------------------------------------------------------------------

    def handle(self, event: SessionEvent, now: Instant) -> list[SessionOutput]:
        """Take one event."""
        match event:
            case DatagramReceived():
                return self._on_datagram(event.path, event.datagram, now)
            case MediaArrived():
                return self._on_media(event, now)
            case ReportArrived():
                return self._on_report(event)
            case MediaMeasured():
                return self._on_measured(event, now)
            case CloseSession():
                return self._close(event.reason, event.detail)
            case RestartIce():
                return self._restart(event, now)
            case NetworkChanged():
                self._ice.check_now(now)
                self._timeout = self._earliest_timeout()
                return []
            case sctp.SendMessage() | sctp.OpenChannel() | sctp.CloseChannel():
                return self._on_channel_event(event, now)
            case _:
                assert_never(event)

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` has something to do; None once closed."""
        return self._timeout

    def handle_timeout(self, now: Instant) -> list[SessionOutput]:
        """Send checks and flights that are due; end what has waited too long."""
        if self.state is SessionState.CLOSED:
            return []
        if self.state is not SessionState.CONNECTED and now >= self._connect_by:
            waiting = self.state is SessionState.WAITING
            return self._close(
                CloseReason.CONNECT_TIMEOUT, "no valid check" if waiting else "DTLS not finished"
            )
        if self.state is not SessionState.WAITING and now >= self._consent_until():
            return self._close(CloseReason.CONSENT_EXPIRED)
        limit = self._limits.reached(now)
        idle = limit is CloseReason.IDLE and self._parameters.audio is not None
        if limit is not None and not idle:
            return self._close(limit)
        outputs = self._after_ice(self._ice.handle_timeout(now), now)
        outputs.extend(self._flights.send(self._dtls.handle_timeout(now), self._flight_path()))
        outputs.extend(self._data.handle_timeout(now))
        if (left := self._limits.warn(now)) is not None:
            outputs.append(LimitNear(CloseReason.MAX_DURATION, left))
        if idle or self.reports.is_due(now):  # only who carries it knows when media last went by
            outputs.append(MeasureMedia())
        self._timeout = self._earliest_timeout()
        return outputs

    def _earliest_timeout(self) -> Instant | None:
        if self.state is SessionState.CLOSED:
            return None
        deadlines = [
            self._ice.next_timeout(),
            self._dtls.next_timeout(),
            self._data.next_timeout(),
            self._limits.next_timeout(),
            self.reports.due,
            self._connect_by if self.state is not SessionState.CONNECTED else None,
            self._consent_until() if self.state is not SessionState.WAITING else None,
        ]
        return min(deadline for deadline in deadlines if deadline is not None)

    def _consent_until(self) -> Instant:
        return self._ice.consent_at + self._parameters.consent_timeout

    # --- datagrams --------------------------------------------------------------------------------

    def _on_datagram(
        self, path: Path, datagram: bytes | memoryview, now: Instant
    ) -> list[SessionOutput]:
        if self.state is SessionState.CLOSED:
            return [Dropped(DropReason.UNEXPECTED_STATE)]
        length = len(datagram)
        if not length:
            return [Dropped(DropReason.EMPTY)]
        if length > MAX_PACKET:
            return [Dropped(DropReason.OVERSIZE)]
        kind = KINDS[datagram[0]]
        if kind is Kind.STUN:
            results = self._ice.handle(path, bytes(datagram), now)
            self._dtls.round_trip = self._ice.round_trip or 0.0
            outputs = self._after_ice(results, now)
            outputs += self._after_carried(path, now)
        elif kind is Kind.DTLS:
            outputs = self._on_dtls(path, bytes(datagram), now)
        elif kind is Kind.RTP:  # before there are keys
            return [Dropped(DropReason.UNEXPECTED_STATE)]
        else:
            return [Dropped(DropReason.UNKNOWN_KIND)]
        self._timeout = self._earliest_timeout()
        return outputs

    # --- media, which others carry ------------------------------------------------------------------

    def _on_media(self, event: MediaArrived, now: Instant) -> list[SessionOutput]:
        state = self._paths.get(event.path)
        if state is None or not state.verified or self.state is not SessionState.CONNECTED:
            return [Dropped(DropReason.UNVERIFIED_PATH)]
        state.active_at = now
        if not self._confirmed:
            # The peer's media says that it has our last flight.
            self._confirmed = True
            self._dtls.confirm()
        outputs: list[SessionOutput] = []
        selected = self._paths.selected
        if selected is not None and state is not selected:
            selected.active_at = max(selected.active_at, event.selected_at)
            outputs = self._after_ice(self._ice.media_elsewhere(state, now), now)
        self._timeout = self._earliest_timeout()
        return outputs

    def _on_measured(self, event: MediaMeasured, now: Instant) -> list[SessionOutput]:
        self._limits.seen(max(event.stats.received_at, event.stats.sent_at))
        if (limit := self._limits.reached(now)) is not None:
            return self._close(limit)
        outputs: list[SessionOutput] = []
        if self.reports.is_due(now):
            outputs.append(SendReport(self.reports.report(event.stats, now)))
            lost_out = 0 if self.reported is None else self.reported.lost
            measured = event.stats.jitter, event.stats.lost, lost_out
            outputs.append(MediaFared(self.round_trip, *measured))
        self._timeout = self._earliest_timeout()
        return outputs

    def _on_report(self, event: ReportArrived) -> list[SessionOutput]:
        try:
            share = self.reports.receive(event.packet, event.at)
        except Malformed as error:
            return [Dropped(error.reason)]
        return [] if share is None else [LossReported(share)]

    # --- ICE --------------------------------------------------------------------------------------

    def _after_ice(self, results: Iterable[IceOutput], now: Instant) -> list[SessionOutput]:
        """Pass on what ICE wants done, and draw our conclusions."""
        outputs: list[SessionOutput] = []
        for result in results:
            if isinstance(result, PathProven):
                if self._flights.held:
                    outputs.extend(self._flights.send(self._dtls.flight, self._flight_path()))
            else:
                outputs.append(result)
        if self.state is SessionState.WAITING and self._paths.selected is not None:
            outputs.append(self._enter(SessionState.CHECKING))
            if self._parameters.dtls_role is DtlsRole.ACTIVE:
                outputs.extend(self._flights.send(self._hello(now), self._paths.selected))
        return outputs

    def _hello(self, now: Instant) -> Sequence[bytes]:
        """What of the ClientHello is to be sent, now that there is a path."""
        if self._sped is None:
            return self._dtls.start(now)
        self._dtls.arm(now)
        return () if self._sped.brought else self._dtls.flight

    def _restart(self, event: RestartIce, now: Instant) -> list[SessionOutput]:
        if self.state is SessionState.CLOSED:
            return [Dropped(DropReason.UNEXPECTED_STATE)]
        outputs = self._after_ice(self._ice.restart(event.local, event.remote, now), now)
        self._timeout = self._earliest_timeout()
        return outputs

    # --- DTLS -------------------------------------------------------------------------------------

    def _on_dtls(self, path: Path, datagram: bytes, now: Instant) -> list[SessionOutput]:
        state = self._paths.get(path)
        if state is None or not state.verified:
            return [Dropped(DropReason.UNVERIFIED_PATH)]
        state.bytes_received += len(datagram)
        before = self._dtls.state
        if self._sped is not None and not self._dtls.settled and self._sped.knows(datagram):
            return []
        try:
            result = self._dtls.handle(datagram, now)
        except Malformed as error:
            return [Dropped(error.reason)]
        if self._sped is not None and before is DtlsState.HANDSHAKE:
            self._sped.note(datagram)
        return self._after_dtls(state, before, result, now, answered=False)

    def _after_carried(self, path: Path, now: Instant) -> list[SessionOutput]:
        """DTLS that came inside a check, if any did."""
        brought = self._sped.take() if self._sped is not None else None
        state = self._paths.get(path)
        if brought is None or state is None or self.state is SessionState.CLOSED:
            return []
        if brought.dropped is not None:
            return [Dropped(brought.dropped)]
        result = DtlsResult(brought.datagrams, brought.messages)
        return self._after_dtls(state, brought.before, result, now, answered=brought.answered)

    def _after_dtls(
        self, state: PathState, before: DtlsState, result: DtlsResult, now: Instant, answered: bool
    ) -> list[SessionOutput]:
        # A finished handshake proves the address that the flight before it went to.
        proven_by_finish = state if state is self._flights.path else None
        if answered:
            self._flights.path = state
        outputs = self._flights.send(result.datagrams, state)
        after = self._dtls.state
        if before is DtlsState.HANDSHAKE and after in (DtlsState.CONNECTED, DtlsState.CLOSED):
            outputs.extend(self._on_connected(proven_by_finish, now))
        if self.state is SessionState.CLOSED:
            return outputs
        if result.messages:
            state.active_at = now
        for message in result.messages:
            received = self._data.receive(message, now)
            if any(isinstance(output, sctp.MessageReceived) for output in received):
                self._limits.seen(now)
            outputs.extend(received)
        if after is DtlsState.CLOSED:
            outputs.extend(self._close(CloseReason.PEER_CLOSED))
        elif after is DtlsState.FAILED:
            mismatch = self._dtls.mismatch
            reason = CloseReason.FINGERPRINT_MISMATCH if mismatch else CloseReason.DTLS_FAILED
            outputs.extend(self._close(reason, self._dtls.failure))
        return outputs

    def _on_connected(self, proven: PathState | None, now: Instant) -> list[SessionOutput]:
        keys, audio = self._dtls.keys, self._parameters.audio
        if keys is None and audio is not None:
            return self._close(CloseReason.DTLS_FAILED, "no SRTP profile in common")
        outputs = self._after_ice(self._ice.connect(proven, now), now)
        if keys is not None and audio is not None:
            outputs.append(OpenMedia(keys, audio, self._ssrc, self._sequence))
            self.reports.begin(now)
        self._limits.begin(now)
        outputs.append(self._enter(SessionState.CONNECTED))
        if (data := self._parameters.data) is not None:
            even = self._parameters.dtls_role is DtlsRole.ACTIVE
            outputs.extend(self._data.begin(data.association(even=even), now))
        return outputs

    def _flight_path(self) -> PathState | None:
        """Passive answers where it was asked; active asks on the best path it has."""
        if self._parameters.dtls_role is DtlsRole.ACTIVE:
            return self._paths.selected
        return self._flights.path

    # --- data channels ----------------------------------------------------------------------------

    def _on_channel_event(self, event: ChannelEvent, now: Instant) -> list[SessionOutput]:
        if self.state is not SessionState.CONNECTED:
            return [Dropped(DropReason.UNEXPECTED_STATE)]
        outputs = self._data.handle(event, now)
        if isinstance(event, sctp.SendMessage) and self._data.association is not None:
            self._limits.seen(now)
        self._timeout = self._earliest_timeout()
        return outputs

    # --- life -------------------------------------------------------------------------------------

    def _enter(self, state: SessionState) -> StateChanged:
        if state not in TRANSITIONS[self.state]:
            raise AssertionError(f"{self.state} -> {state}")
        self.state = state
        return StateChanged(state)

    def _close(self, reason: CloseReason, detail: str = "") -> list[SessionOutput]:
        if self.state is SessionState.CLOSED:
            return [Dropped(DropReason.UNEXPECTED_STATE)]
        goodbye = self.reports.goodbye()
        outputs: list[SessionOutput] = [SendReport(goodbye)] if goodbye else []
        outputs += self._flights.send(self._dtls.close(), self._paths.selected)
        outputs.append(self._enter(SessionState.CLOSED))
        outputs.append(SessionClosed(reason, detail))
        self._timeout = None
        return outputs
