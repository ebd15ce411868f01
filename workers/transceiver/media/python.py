"""The media plane in Python: the specification in code, and the fallback where nothing is compiled.

It reads the link when it is asked for events and writes it when it is flushed; between the two it works
as `base` says, a record after the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from config.ids import Endpoint, Instant
from workers.transceiver.core.audio import AudioStream
from workers.transceiver.core.interface import RecordReceived, SendRecord
from workers.transceiver.core.srtp import SrtpKeys
from workers.transceiver.core.streams.interface import (
    AudioParameters,
    AudioReceived,
    LinkLabel,
    SendAudio,
    Stream,
    StreamStats,
)
from workers.transceiver.media.base import (
    SEEN_EVERY,
    FrameReceived,
    MediaSeen,
    PlaneCounters,
    PlaneEvent,
    ReportReceived,
    StreamClosed,
)
from workers.wire.demux import KINDS, Kind
from workers.wire.link import RecordType
from workers.wire.types import DropReason

# Once per packet: an enum of Python 3.11 gives its members through a slow descriptor.
_RTP = Kind.RTP
_DATA = RecordType.DATA


class RecordLink(Protocol):
    """The link as records; `Link` is one."""

    counters: PlaneCounters
    """Where it counts datagrams, what became of those that are no records, and what leaves."""

    def fileno(self) -> int:
        """Readable when there are records."""

    def hear(self, peers: Iterable[Endpoint]) -> None:
        """Take records from these relays only."""

    def receive(self) -> Iterator[RecordReceived]:
        """The records that wait, within bounds; a payload holds until the next one is asked for."""

    def queue(self, record: SendRecord) -> None:
        """Send it with the next flush."""

    def flush(self) -> None:
        """Send what is queued."""


class _Line:
    """A stream, and what belongs to it."""

    __slots__ = ("audio", "labels", "open", "seen_at", "target", "way", "way_at")

    def __init__(self, audio: AudioStream) -> None:
        self.audio = audio
        self.open = True
        self.labels: dict[LinkLabel, bool] = {}
        """True for one whose first media has been told of."""
        self.way: LinkLabel | None = None
        self.way_at: Instant = 0.0
        self.seen_at: Instant = -SEEN_EVERY
        self.target: _Line | None = None


class PythonPlane:
    """See `base`."""

    def __init__(self, link: RecordLink, clock: Callable[[], Instant]) -> None:
        self._link = link
        self._clock = clock
        self._lines: dict[Stream, _Line] = {}
        self._bound: dict[LinkLabel, Stream] = {}
        self._events: list[PlaneEvent] = []
        self._stopped = False
        self._taking_way = False
        """What is being received says where its stream is sent, if it is authentic."""

    @property
    def descriptor(self) -> int:
        """The link's."""
        return self._link.fileno()

    @property
    def waiting(self) -> bool:
        """Commands have events of their own."""
        return bool(self._events)

    @property
    def counters(self) -> PlaneCounters:
        """Totals so far."""
        return self._link.counters

    # --- up ---------------------------------------------------------------------------------------

    @property
    def loans(self) -> None:
        """It does nothing by itself."""
        return

    def take(self) -> list[PlaneEvent]:
        """Read the link, and give what came of that and of commands."""
        if not self._stopped:
            now = self._clock()
            for record in self._link.receive():
                self._record(record, now)
        events, self._events = self._events, []
        return events

    def _record(self, record: RecordReceived, now: Instant) -> None:
        counters, payload = self._link.counters, record.payload
        counters.records += 1
        if record.type is _DATA and payload and KINDS[payload[0]] is _RTP:
            at = LinkLabel(record.relay, record.label)
            stream = self._bound.get(at)
            if stream is not None:
                self._media(stream, at, payload, now)
                return
        counters.raised += 1
        self._events.append(
            RecordReceived(record.relay, record.type, record.flags, record.label, bytes(payload))
        )

    def _media(
        self, stream: Stream, at: LinkLabel, datagram: bytes | memoryview, now: Instant
    ) -> None:
        counters, line = self._link.counters, self._lines[stream]
        packet = line.audio.authenticate(datagram)
        if isinstance(packet, DropReason):
            counters.dropped[packet] += 1
            return
        if self._taking_way:
            self.set_way(stream, at)
        self._tell(stream, line, at, now)
        media = line.audio.read(packet, now)
        if isinstance(media, DropReason):
            counters.dropped[media] += 1
        elif isinstance(media, bytes):
            counters.reports += 1
            self._events.append(ReportReceived(stream, media, now))
        else:
            counters.frames += 1
            if line.target is None:
                counters.handed_up += 1
                # As `FrameReceived(...)`, without the cost of its generated constructor.
                self._events.append(tuple.__new__(FrameReceived, (stream, media, now)))
            elif (lost := self._forward(stream, line.target, media, now)) is None:
                counters.forwarded += 1
            else:
                counters.undelivered[lost] += 1

    def _tell(self, stream: Stream, line: _Line, at: LinkLabel, now: Instant) -> None:
        """Authenticated media came with that label."""
        by_way = at == line.way
        if by_way:
            line.way_at = now
        if line.labels[at] and (by_way or now - line.seen_at < SEEN_EVERY):
            return
        line.labels[at] = True
        line.seen_at = now
        self._events.append(MediaSeen(stream, at, now, line.way_at))

    # --- down -------------------------------------------------------------------------------------

    def open(
        self, stream: Stream, keys: SrtpKeys, audio: AudioParameters, ssrc: int, sequence: int
    ) -> None:
        """Receive and send with these keys. `ssrc` and the first `sequence` are those we send with."""
        self._lines[stream] = _Line(AudioStream(keys, audio, ssrc, sequence))

    def close(self, stream: Stream) -> None:
        """Forget the stream, its bindings and its forwarding; `StreamClosed` follows."""
        line = self._lines.pop(stream)
        line.open = False  # for those who forward to it
        for at in line.labels:
            del self._bound[at]
        self._events.append(StreamClosed(stream))

    def bind(self, at: LinkLabel, stream: Stream) -> None:
        """That label's media is this stream's from now on, whosever it was."""
        self.unbind(at)
        self._bound[at] = stream
        self._lines[stream].labels[at] = False

    def unbind(self, at: LinkLabel) -> None:
        """That label's records go up again."""
        stream = self._bound.pop(at, None)
        if stream is not None:
            del self._lines[stream].labels[at]

    def set_way(self, stream: Stream, way: LinkLabel | None) -> None:
        """Where the stream's media is sent; None: nowhere."""
        line = self._lines[stream]
        line.way, line.way_at = way, 0.0

    def forward(self, stream: Stream, target: Stream | None) -> None:
        """What comes on `stream` leaves on `target` (itself: an echo); None: it goes up."""
        self._lines[stream].target = None if target is None else self._lines[target]

    def send(self, stream: Stream, frame: SendAudio) -> None:
        """Send one frame."""
        line = self._lines[stream]
        if not line.audio.may_send(frame.payload_type):
            lost: DropReason | None = DropReason.UNKNOWN_PAYLOAD_TYPE
        elif line.way is None:
            lost = DropReason.UNKNOWN_FLOW
        else:
            lost = self._leave(line.way, line.audio.send(frame, self._clock()))
        self._count(lost)

    def send_report(self, stream: Stream, packet: bytes) -> None:
        """Encrypt and send one compound RTCP packet."""
        line = self._lines[stream]
        lost: DropReason | None = DropReason.UNKNOWN_FLOW
        if line.way is not None:
            lost = self._leave(line.way, line.audio.send_report(packet))
        self._count(lost)

    def send_record(self, record: SendRecord) -> None:
        """Send a record that is not media."""
        self._link.queue(record)

    def receive(self, at: LinkLabel, datagram: bytes, *, takes_way: bool = False) -> None:
        """Treat a datagram as if a DATA record with that label had brought it (wire.md 2, INTRO)."""
        self._taking_way = takes_way
        self._record(RecordReceived(at.relay, _DATA, 0, at.label, datagram), self._clock())
        self._taking_way = False

    def hear(self, peers: Iterable[Endpoint]) -> None:
        """From now on these are the relays; bindings and ways of those who are none any more are gone."""
        peers = frozenset(peers)
        self._link.hear(peers)
        for at in [at for at in self._bound if at.relay not in peers]:
            self.unbind(at)
        for line in self._lines.values():
            if line.way is not None and line.way.relay not in peers:
                line.way = None

    def rest(self, until: Instant) -> None:
        """Sleep until then: what comes meanwhile waits on the link."""
        time.sleep(max(0.0, until - self._clock()))

    def flush(self) -> None:
        """Send what is queued."""
        if not self._stopped:
            self._link.flush()

    def stats(self, stream: Stream) -> StreamStats:
        """That stream's figures."""
        return self._lines[stream].audio.stats

    def stop(self) -> None:
        """Carry out what was asked for, then touch neither link nor keys any more; `take` still gives."""
        self.flush()
        self._stopped = True

    # --- out --------------------------------------------------------------------------------------

    def _forward(
        self, stream: Stream, target: _Line, frame: AudioReceived, now: Instant
    ) -> DropReason | None:
        """Why it went nowhere, or None."""
        if not target.open:
            return DropReason.UNKNOWN_SESSION
        if not target.audio.may_send(frame.payload_type):
            return DropReason.UNKNOWN_PAYLOAD_TYPE
        if target.way is None:
            return DropReason.UNKNOWN_FLOW
        return self._leave(target.way, target.audio.forward(frame, stream, now))

    def _leave(self, way: LinkLabel, datagram: bytes | DropReason) -> DropReason | None:
        if isinstance(datagram, DropReason):
            return datagram
        self._link.queue(SendRecord(way.relay, _DATA, 0, way.label, datagram))
        return None

    def _count(self, lost: DropReason | None) -> None:
        """What became of something that Python gave."""
        if lost is not None:
            self._link.counters.unsent[lost] += 1
