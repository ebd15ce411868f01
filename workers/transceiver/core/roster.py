"""The sessions that live, and their turns: what one produces goes on to relays, plane and back end.

A bug that a session meets ends here, with that session.
"""

from __future__ import annotations

from collections import Counter
from typing import Final, assert_never

from msgspec.structs import replace

from config.ids import Instant, SessionId
from ipc.messages.sessions import CloseReason
from workers.transceiver.core.counters import Counters
from workers.transceiver.core.ended import Ended
from workers.transceiver.core.entry import Entry
from workers.transceiver.core.interface import (
    Crashed,
    CredentialsRetired,
    Dropped,
    Fared,
    FromSession,
    LimitNear,
    LossReported,
    MeasureMedia,
    MediaFared,
    MediaMeasured,
    OpenMedia,
    Path,
    PathSelected,
    SendDatagram,
    SendRecord,
    SendReport,
    SessionClosed,
    SessionEvent,
    SessionOutput,
    SessionsOutput,
    StateChanged,
    Unsent,
)
from workers.transceiver.core.labels import Labels, LinkLabel
from workers.transceiver.core.sctp.interface import ChannelClosed, ChannelOpened, MessageReceived
from workers.transceiver.core.states import SessionState
from workers.transceiver.core.streams.interface import SendStreamReport
from workers.transceiver.core.streams.wiring import Measure, Wiring
from workers.transceiver.core.timers import Timers
from workers.wire.link import FLAG_ASSURED, FLAG_PROVEN, RecordType
from workers.wire.types import DropReason

MIN_TIMER: Final = 0.001
"""A session that wants to be woken in the past is woken this much later, so it cannot spin."""


class Roster:
    """Entries, and all that is kept for them together."""

    def __init__(self, measure: Measure) -> None:
        self.counters: Final = Counters()
        self.entries: Final[dict[SessionId, Entry]] = {}
        self.by_ufrag: Final[dict[str, Entry]] = {}
        self.labels: Final[Labels[Entry]] = Labels()
        self.wiring: Final = Wiring(self.labels, measure)
        self.timers: Final[Timers[Entry]] = Timers()
        self.ended: Final = Ended()
        self.by_key: Final[Counter[str]] = Counter()
        """Sessions of each API key."""
        self.connected = 0
        """Sessions that are CONNECTED."""

    def add(self, entry: Entry, now: Instant) -> None:
        """A session is born."""
        self.entries[entry.id] = entry
        self.by_ufrag[entry.local.ufrag] = entry
        self._arm(entry, entry.core.next_timeout(), now)
        self.by_key[entry.key] += 1
        self.counters.created += 1

    def attempt(
        self, entry: Entry, event: SessionEvent | None, now: Instant
    ) -> list[SessionOutput] | Exception:
        """Let the session handle an event, or its time-out; a bug in it ends here."""
        try:
            return (
                entry.core.handle_timeout(now) if event is None else entry.core.handle(event, now)
            )
        except Exception as error:  # session isolation
            return error

    def settle(
        self,
        entry: Entry,
        produced: list[SessionOutput] | Exception,
        now: Instant,
        drops: Counter[DropReason],
        via: tuple[Path, LinkLabel] | None = None,
    ) -> list[SessionsOutput]:
        """Pass on what the session made of its turn, count its fate and set its timer."""
        if isinstance(produced, Exception):
            drops[DropReason.CRASHED] += 1
            return self.crash(entry, produced)
        counters = self.counters
        outputs: list[SessionsOutput] = [*self.wiring.follow_labels()]
        dropped: DropReason | None = None
        for output in produced:
            match output:
                case SendDatagram():
                    way = self.labels.way(entry, output.path)
                    if way is None and via is not None and via[0] == output.path:
                        way = via[1]  # an error response: nothing was accepted, so nothing is bound
                    outputs += self._send(output, way)
                case OpenMedia():
                    outputs += self.wiring.open(entry, output)
                case MeasureMedia():
                    measured = MediaMeasured(self.wiring.stats(entry))
                    outputs += self.run(entry, measured, now)
                case SendReport(packet):
                    if entry.stream is not None:
                        outputs.append(SendStreamReport(entry.stream, packet))
                case Dropped():
                    dropped = output.reason
                    outputs.append(output)
                case StateChanged():
                    self._enter(entry, output.state)
                    outputs.append(FromSession(entry.id, output))
                case PathSelected():
                    entry.path = output.path
                    outputs.append(FromSession(entry.id, output))
                case CredentialsRetired():
                    entry.ufrags.remove(output.ufrag)
                    del self.by_ufrag[output.ufrag]
                case LossReported():
                    self._note_report(entry)
                    outputs.append(FromSession(entry.id, output))
                case MediaFared():
                    counters.quality.measured(entry.loss, self.wiring.stats(entry))
                    outputs.append(FromSession(entry.id, output))
                case LimitNear():
                    outputs.append(FromSession(entry.id, output))
                case ChannelOpened() | MessageReceived() | ChannelClosed() | Unsent():
                    outputs.append(FromSession(entry.id, output))
                case SessionClosed():
                    outputs += self._close(entry, output)
                case _ as never:
                    assert_never(never)
        if dropped is not None:
            drops[dropped] += 1
        elif drops is counters.dropped:
            counters.delivered += 1
        if entry.state is not SessionState.CLOSED:
            deadline = entry.core.next_timeout()
            if deadline != entry.wanted:
                self._arm(entry, deadline, now)
            outputs += self.wiring.follow_path(entry)
        return outputs

    def _send(self, output: SendDatagram, way: LinkLabel | None) -> list[SessionsOutput]:
        if way is None:
            self.counters.refused[DropReason.UNKNOWN_FLOW] += 1
            return []
        self.counters.records_out += 1
        flags = output.assured * FLAG_ASSURED | output.proven * FLAG_PROVEN
        return [SendRecord(way.relay, RecordType.DATA, flags, way.label, output.datagram)]

    def run(self, entry: Entry, event: SessionEvent | None, now: Instant) -> list[SessionsOutput]:
        """A turn that no record gives: a command, or a time-out (None)."""
        return self.settle(entry, self.attempt(entry, event, now), now, self.counters.refused)

    def _note_report(self, entry: Entry) -> None:
        core = entry.core
        if core.reported is not None:
            stats = self.wiring.stats(entry)
            self.counters.quality.reported(entry.loss, core.reported, core.round_trip, stats)

    # --- deaths -------------------------------------------------------------------------------

    def crash(self, entry: Entry, error: Exception) -> list[SessionsOutput]:
        """The session's state cannot be trusted any more: it does not get to say goodbye."""
        closed = SessionClosed(CloseReason.INTERNAL_ERROR, type(error).__name__)
        return [Crashed(entry.id, error), *self._close(entry, closed)]

    def _close(self, entry: Entry, closed: SessionClosed) -> list[SessionsOutput]:
        if self.entries.pop(entry.id, None) is None:
            return []
        if entry.stream is not None:  # soon nobody's
            reported = entry.core.reported
            lost_out = None if reported is None else reported.lost
            closed = replace(closed, fared=Fared(self.wiring.stats(entry), lost_out))
        for ufrag in entry.ufrags:
            del self.by_ufrag[ufrag]
        self.by_key[entry.key] -= 1
        if not self.by_key[entry.key]:
            del self.by_key[entry.key]
        self.timers.remove(entry)
        self._enter(entry, SessionState.CLOSED)
        self.counters.closed[closed.reason] += 1
        self.ended.add(entry.id, closed.reason)
        outputs: list[SessionsOutput] = [
            *self.wiring.follow_labels(),
            *self.wiring.close(entry),
            FromSession(entry.id, closed),
        ]
        for at in self.labels.remove(entry):
            self.counters.records_out += 1
            outputs.append(SendRecord(at.relay, RecordType.FORGET, 0, at.label, b""))
        return outputs

    def _enter(self, entry: Entry, state: SessionState) -> None:
        self.connected += (state is SessionState.CONNECTED) - (
            entry.state is SessionState.CONNECTED
        )
        entry.state = state

    def _arm(self, entry: Entry, deadline: Instant | None, now: Instant) -> None:
        entry.wanted = deadline
        if deadline is not None:
            self.timers.set(entry, max(deadline, now + MIN_TIMER))
