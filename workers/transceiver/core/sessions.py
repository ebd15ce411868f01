"""All sessions of a transceiver behind one door: births, lookups, bindings, timers, isolation.

A session knows paths; relays know labels. This table stands between the two, decides which session a
record belongs to, and sees to it that a bug met by one client costs that client's session only.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Final, assert_never

from config.ids import Instant, SessionId
from ipc.messages.details import FindSession, SessionDetail
from ipc.messages.sessions import CloseReason, Problem, SessionSummary
from workers.transceiver.core.addressee import DTLS_HANDSHAKE, addressee
from workers.transceiver.core.admission import Settings, admit, expected, unclaimed_of
from workers.transceiver.core.detail import detail_of
from workers.transceiver.core.entry import Entry, NewSession
from workers.transceiver.core.fragment import tag_of
from workers.transceiver.core.interface import (
    BackendCrashed,
    CloseAll,
    CloseSession,
    Crashed,
    Create,
    Created,
    DatagramReceived,
    Drain,
    Dropped,
    ForSession,
    ForwardAudio,
    FromSession,
    MediaArrived,
    MediaTook,
    PatchIce,
    Path,
    RecordReceived,
    Refused,
    ReportArrived,
    SendAudio,
    SendDatagram,
    SendRecord,
    SessionsEvent,
    SessionsOutput,
)
from workers.transceiver.core.labels import LinkLabel
from workers.transceiver.core.restart import heed
from workers.transceiver.core.room import Room
from workers.transceiver.core.roster import Roster
from workers.transceiver.core.states import SessionState
from workers.transceiver.core.streams.interface import (
    FrameReceived,
    MediaSeen,
    RelaysChanged,
    ReportReceived,
    SendFrame,
    Stream,
    StreamClosed,
    StreamStats,
)
from workers.transceiver.core.streams.wiring import Measure
from workers.wire.demux import KINDS, Kind
from workers.wire.link import FLAG_ASSURED, RecordType, parse_intro
from workers.wire.stun import StunClass, parse_stun
from workers.wire.types import DropReason, Malformed

UNKNOWN_PER_SECOND: Final = 256
"""Replies to records with labels that we do not know; beyond that they are dropped silently."""
_NOBODY_CAME: Final = CloseSession(CloseReason.CONNECT_TIMEOUT)

# Once per packet: an enum of Python 3.11 gives its members through a slow descriptor.
DATA: Final = RecordType.DATA
CLOSED: Final = SessionState.CLOSED


class Sessions:
    """The table. Never raises on peer input, nor on a bug inside a session."""

    def __init__(
        self,
        settings: Settings,
        new_session: NewSession,
        entropy: Callable[[int], bytes],
        measure: Measure = lambda _: StreamStats(),
    ) -> None:
        """`measure` is the media plane's word on a stream."""
        self._roster = Roster(measure)
        self.counters: Final = self._roster.counters
        self._settings = settings
        self._new_session = new_session
        self._entropy = entropy
        self._room = Room(settings.max_sessions, settings.max_busy)
        self._draining = False
        self._unknown_since: Instant = 0.0
        self._unknown_sent = 0

    def __len__(self) -> int:
        return len(self._roster.entries)

    @property
    def connected(self) -> int:
        """Sessions that are CONNECTED."""
        return self._roster.connected

    @property
    def busy(self) -> float:
        """Share of the thread that media takes."""
        return self._room.busy

    # --- the one door -------------------------------------------------------------------------

    def handle(self, event: SessionsEvent, now: Instant) -> list[SessionsOutput]:
        """Take one event; the outputs are to be carried out in order."""
        match event:
            case ForSession():
                return self._for_session(event, now)
            case FrameReceived(stream, audio):
                session = self.speaker(stream)
                return [] if session is None else [FromSession(session, audio)]
            case RecordReceived():
                return self._record(event, now)
            case MediaSeen():
                return self._seen(event, now)
            case ReportReceived(stream, packet, at):
                entry = self._roster.wiring.owner(stream)
                if entry is None:
                    return []
                return self._roster.run(entry, ReportArrived(packet, at), now)
            case RelaysChanged(relays):
                self._roster.labels.keep(relays)
                return [*self._roster.wiring.follow_labels()]
            case StreamClosed(stream):
                self._roster.wiring.closed(stream)
                return []
            case Create():
                return self._create(event, now)
            case PatchIce():
                return self._patch(event, now)
            case BackendCrashed():
                entry = self._roster.entries.get(event.session)
                return [] if entry is None else self._roster.crash(entry, event.error)
            case Drain():
                self._draining = True
                return []
            case MediaTook(seconds):
                self._room.measure(seconds, self.connected, now)
                return []
            case CloseAll():
                close = CloseSession(event.reason)
                entries = list(self._roster.entries.values())
                return [
                    output for entry in entries for output in self._roster.run(entry, close, now)
                ]
            case _ as never:
                assert_never(never)

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` is next worth calling."""
        return self._roster.timers.next()

    def handle_timeout(self, now: Instant) -> list[SessionsOutput]:
        """Give every session whose time has come its turn."""
        outputs: list[SessionsOutput] = []
        for entry in self._roster.timers.due(now):
            entry.wanted = None
            outputs += self._roster.run(entry, None, now)
        return outputs

    def speaker(self, stream: Stream) -> SessionId | None:
        """Whose frames come on that stream."""
        entry = self._roster.wiring.owner(stream)
        return None if entry is None else entry.id

    def stream(self, session: SessionId) -> Stream | None:
        """Where its frames come, once it has keys."""
        entry = self._roster.entries.get(session)
        return None if entry is None else entry.stream

    def send(self, session: SessionId, audio: SendAudio) -> list[SessionsOutput]:
        """What `handle` does of a session's SendAudio."""
        entry = self._roster.entries.get(session)
        if entry is None:
            return self._refuse(DropReason.UNKNOWN_SESSION)
        if entry.stream is None:
            return self._refuse(DropReason.UNEXPECTED_STATE)
        self.counters.frames_out += 1
        return [SendFrame(entry.stream, audio)]

    def summaries(self, limit: int, now: Instant) -> tuple[SessionSummary, ...]:
        """The `limit` oldest sessions."""
        return tuple(
            entry.summary(self._roster.wiring.stats(entry), now)
            for entry in islice(self._roster.entries.values(), limit)
        )

    def count(self, key: str) -> int:
        """Those that were placed with that API key."""
        return self._roster.by_key[key]

    def detail(self, question: FindSession, now: Instant) -> SessionDetail | None:
        """All about the session of that id, ufrag or label; None if there is none."""
        roster = self._roster
        entry = roster.entries.get(question.session) or roster.by_ufrag.get(question.ufrag)
        if entry is None and question.relay is not None:
            bound = roster.labels.receiver((question.relay, question.label))
            entry = None if bound is None else bound.owner
        if entry is None and question.client is not None:
            entry = roster.labels.of_client(question.client)
        if entry is None:
            return None
        return detail_of(entry, roster.labels, roster.wiring.stats(entry), now)

    def why_ended(self, session: SessionId) -> CloseReason | None:
        """None if it lives, never was, or is long over."""
        return self._roster.ended.why(session)

    # --- births -------------------------------------------------------------------------------

    def _create(self, event: Create, now: Instant) -> list[SessionsOutput]:
        """Room is ours to judge, the offer is `admission`'s."""
        if self._draining:
            return [Refused(event.ticket, Problem.DRAINING, "this transceiver is draining")]
        unclaimed: Entry | None = None
        room, sessions = self._room, self._roster.entries.values()
        full = not room.has_place(len(sessions))
        if full and (unclaimed := unclaimed_of(sessions, now)) is None:
            detail = f"all {self._settings.max_sessions} sessions of this transceiver are taken"
            return [Refused(event.ticket, Problem.FULL, detail)]
        if not (room.has_time(len(sessions)) or room.has_time(expected(sessions, now))):
            detail = (
                f"the {len(sessions)} sessions of this transceiver leave it no time for one more"
            )
            return [Refused(event.ticket, Problem.FULL, detail)]
        admitted = admit(event, self._settings, self._entropy)
        if isinstance(admitted, Refused):
            return [admitted]
        session, parameters = admitted.session, admitted.parameters
        try:
            core = self._new_session(parameters, now)
        except Exception as error:  # session isolation
            detail = "the session could not be made"
            return [
                Crashed(session, error),
                Refused(event.ticket, Problem.INTERNAL_ERROR, detail),
            ]
        outputs = [] if unclaimed is None else self._roster.run(unclaimed, _NOBODY_CAME, now)
        entry = Entry(session, parameters, core, now, key=str(event.claims.get("key", "")))
        self._roster.add(entry, now)
        tag = tag_of(parameters.local)
        created = Created(
            event.ticket,
            session,
            admitted.answer,
            event.backend,
            tag,
            parameters.audio,
            parameters.data is not None,
            event.claims,
            event.client,
        )
        return [*outputs, created]

    def _patch(self, event: PatchIce, now: Instant) -> list[SessionsOutput]:
        """A client's word on ICE after its offer; what it means is `restart`'s to judge."""
        entry = self._roster.entries.get(event.session)
        if entry is None:
            reason = self.why_ended(event.session)
            detail = f"it is over: {reason.value}" if reason is not None else "no such session"
            return [Refused(event.ticket, Problem.UNKNOWN_SESSION, detail)]
        heeded = heed(event, entry, self._settings, self._entropy)
        if isinstance(heeded, Refused):
            return [heeded]
        patched, restart = heeded
        if restart is None:
            return [patched]
        entry.renew(restart.local, restart.remote)
        self._roster.by_ufrag[restart.local.ufrag] = entry
        return [patched, *self._roster.run(entry, restart, now)]

    # --- records of relays --------------------------------------------------------------------

    def _record(self, event: RecordReceived, now: Instant) -> list[SessionsOutput]:
        self.counters.records_in += 1
        at = (event.relay, event.label)
        if event.type is DATA:
            bound = self._roster.labels.receiver(at)
            if bound is None:
                return self._unknown(LinkLabel(*at), now)
            entry, path = bound
            payload = event.payload
            if payload and payload[0] == DTLS_HANDSHAKE:
                entry = addressee(self._roster.labels, entry, path, payload)
            elif entry.stream is not None and payload and KINDS[payload[0]] is Kind.RTP:
                self.counters.delivered += 1
                return [*self._roster.wiring.hand_back(entry, LinkLabel(*at), bytes(payload))]
            produced = self._roster.attempt(entry, DatagramReceived(path, payload), now)
            return self._roster.settle(entry, produced, now, self.counters.dropped)
        if event.type is RecordType.INTRO:
            return self._intro(LinkLabel(*at), event.payload, now)
        self._roster.labels.unbind(LinkLabel(*at))  # UNKNOWN or FORGET
        self.counters.controls += 1
        return [*self._roster.wiring.follow_labels()]

    def _intro(
        self, at: LinkLabel, payload: memoryview | bytes, now: Instant
    ) -> list[SessionsOutput]:
        try:
            key, view = parse_intro(payload)
            path, datagram = Path(key.transport, key.client, key.local), bytes(view)
            if not datagram:
                return self._drop(DropReason.EMPTY)
            if KINDS[datagram[0]] is not Kind.STUN:
                return self._recovered(at, path, datagram, now)
            stun = parse_stun(datagram)
        except Malformed as error:
            return self._drop(error.reason)
        if stun.stun_class is not StunClass.REQUEST:
            return self._response(at, path, datagram, now)
        entry = self._roster.by_ufrag.get(stun.ours)
        if entry is None:
            return self._unknown(at, now, DropReason.UNKNOWN_UFRAG)
        return self._check(entry, at, path, datagram, now)

    def _check(
        self, entry: Entry, at: LinkLabel, path: Path, datagram: bytes, now: Instant
    ) -> list[SessionsOutput]:
        """A Binding request for this session, from anywhere."""
        produced = self._roster.attempt(entry, DatagramReceived(path, datagram), now)
        if not isinstance(produced, Exception):
            for output in produced:
                if isinstance(output, SendDatagram) and output.assured and output.path == path:
                    self._roster.labels.bind(entry, path, at, proven=output.proven)
        return self._roster.settle(entry, produced, now, self.counters.dropped, via=(path, at))

    def _response(
        self, at: LinkLabel, path: Path, datagram: bytes, now: Instant
    ) -> list[SessionsOutput]:
        """It names no session: whoever asked on that path will know. An answer proves the path."""
        for entry in self._roster.labels.sharers(path):
            produced = self._roster.attempt(entry, DatagramReceived(path, datagram), now)
            if isinstance(produced, Exception):
                return self._roster.settle(entry, produced, now, self.counters.dropped)
            if not any(isinstance(output, Dropped) for output in produced):
                self._roster.labels.bind(entry, path, at, proven=True)
                return self._roster.settle(entry, produced, now, self.counters.dropped)
        return self._drop(DropReason.UNKNOWN_TRANSACTION)

    def _recovered(
        self, at: LinkLabel, path: Path, datagram: bytes, now: Instant
    ) -> list[SessionsOutput]:
        """Not STUN: from a relay that has recovered the flow. Its address must be a path of ours.

        What the session accepts rebinds the path, as a check does; an empty DATA tells the relay so.
        """
        sharers = self._roster.labels.sharers(path)
        if not sharers:
            return self._unknown(at, now)
        entry = addressee(self._roster.labels, sharers[0], path, datagram)
        if entry.stream is not None and KINDS[datagram[0]] is Kind.RTP:
            bound = self._roster.labels.receiver(at)
            if bound is not None and bound.owner is not entry:
                return self._drop(DropReason.PENDING_FLOW)  # until a check has settled whose it is
            self.counters.delivered += 1
            return [*self._roster.wiring.try_out(entry, at, path, datagram)]
        produced = self._roster.attempt(entry, DatagramReceived(path, datagram), now)
        outputs: list[SessionsOutput] = []
        if not isinstance(produced, Exception) and not any(
            isinstance(output, Dropped) for output in produced
        ):
            outputs += self._assure(entry, path, at)
        return outputs + self._roster.settle(entry, produced, now, self.counters.dropped)

    def _assure(self, entry: Entry, path: Path, at: LinkLabel) -> list[SessionsOutput]:
        """The session has accepted what came with that label from a relay that recovers the flow."""
        self._roster.labels.bind(entry, path, at, proven=False)
        outputs: list[SessionsOutput] = [*self._roster.wiring.follow_labels()]
        bound = self._roster.labels.receiver(at)
        if bound is not None and bound.owner is entry:
            self.counters.records_out += 1
            outputs.append(SendRecord(at.relay, RecordType.DATA, FLAG_ASSURED, at.label, b""))
        return outputs

    def _seen(self, event: MediaSeen, now: Instant) -> list[SessionsOutput]:
        """Media that the plane has authenticated: of a recovered flow, or worth the session's knowing."""
        entry = self._roster.wiring.owner(event.stream)
        if entry is None:
            return []
        outputs: list[SessionsOutput] = []
        if entry.tried is not None and entry.tried[0] == event.by:
            (_, path), entry.tried = entry.tried, None
            outputs += self._assure(entry, path, event.by)
        bound = self._roster.labels.receiver(event.by)
        if bound is not None and bound.owner is entry:
            outputs += self._roster.run(entry, MediaArrived(bound.path, event.way_at), now)
        return outputs

    def _unknown(
        self, at: LinkLabel, now: Instant, reason: DropReason = DropReason.UNKNOWN_FLOW
    ) -> list[SessionsOutput]:
        """Tell the relay, within bounds, that the label means nothing here, unless it does."""
        outputs = self._drop(reason)
        if self._roster.labels.receiver(at) is not None:
            return outputs  # a stranger's check, put beside the flow of a living session
        if now - self._unknown_since >= 1.0:
            self._unknown_since, self._unknown_sent = now, 0
        if self._unknown_sent < UNKNOWN_PER_SECOND:
            self._unknown_sent += 1
            self.counters.records_out += 1
            outputs.append(SendRecord(at.relay, RecordType.UNKNOWN, 0, at.label, b""))
        return outputs

    def _drop(self, reason: DropReason) -> list[SessionsOutput]:
        self.counters.dropped[reason] += 1
        return [Dropped(reason)]

    def _refuse(self, reason: DropReason) -> list[SessionsOutput]:
        self.counters.refused[reason] += 1
        return [Dropped(reason)]

    def _for_session(self, event: ForSession, now: Instant) -> list[SessionsOutput]:
        what = event.event
        if isinstance(what, SendAudio):
            return self.send(event.session, what)
        entry = self._roster.entries.get(event.session)
        if entry is None:
            return self._refuse(DropReason.UNKNOWN_SESSION)
        if isinstance(what, ForwardAudio):
            target = None if what.target is None else self._roster.entries.get(what.target)
            return [*self._roster.wiring.forward(entry, target)]
        return self._roster.run(entry, what, now)
