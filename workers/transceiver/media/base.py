"""What a media plane is: the part of a transceiver that moves media without deciding anything.

Sessions decide: who the peer is, with which keys, on which path. The plane does what comes fifty
times a second and session: it reads the link, opens SRTP, keeps count of what arrives, and hands the
frames on, up to Python or on to a stream's peer; and the other way round. Without a plane (no compiler,
`transceiver.media = "python"`, the test caller) a `Session` does the same itself, packet by packet, and
is the oracle for it.

**Streams.** `open` gives a stream its keys; it is one session's audio, both ways. `bind` says which link
label its peer's datagrams come with, `set_way` by which label the peer is reached. All three follow each
other in order with everything else that is asked for.

**From relays.** A DATA record on a bound label whose payload is RTP or RTCP (RFC 7983, first byte
128-191; RFC 5761) is the plane's: authenticated, decrypted, counted. Every other record goes up as
`RecordReceived`, in order, through a bounded ring whose overflow is counted. Nobody but the `peers` may
send to the link socket.

**Frames.** A packet of a receivable payload type is a frame: it goes up as `FrameReceived`, or, if
`forward` gave its stream a target, out again at once under the target's SSRC and keys. A forwarded
stream keeps its gaps: the sequence number moves by what it moved at the source, so that the receiver
conceals what was lost. When the source's SSRC changes, when it jumps, or when another source or a frame
of Python's came between, the sequence goes on after the highest one sent, and the timestamp goes on as
time has. A target that may not send this payload type, has no way, or is closed, drops it, counted.

**Fairness.** Frames and everything else have a share each of what may wait for Python; so has each
stream. What is over that is dropped, counted. Commands are never lost; frames to be sent may be.

**Told of media.** `MediaSeen` says that an authenticated packet came: for the first one of each binding,
and, while a packet comes by another label than the stream's way, at most every `SEEN_EVERY` seconds.

**Law**, true whenever no call is running:
`records == raised + frames + reports + sum(dropped)`, and of the frames
`frames == handed_up + forwarded + sum(undelivered)`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from config.ids import Endpoint, Instant
from workers.transceiver.core.interface import RecordReceived, SendRecord
from workers.transceiver.core.srtp import SrtpKeys
from workers.transceiver.core.streams.interface import (
    AudioParameters,
    LinkLabel,
    SendAudio,
    StreamEvent,
)
from workers.transceiver.core.streams.interface import FrameReceived as FrameReceived
from workers.transceiver.core.streams.interface import MediaSeen as MediaSeen
from workers.transceiver.core.streams.interface import ReportReceived as ReportReceived
from workers.transceiver.core.streams.interface import Stream as Stream
from workers.transceiver.core.streams.interface import StreamClosed as StreamClosed
from workers.transceiver.core.streams.interface import StreamStats as StreamStats
from workers.transceiver.media.loans import Loans
from workers.wire.types import DropReason

SEEN_EVERY: Final = 0.05
"""Seconds between two `MediaSeen` of one stream whose media comes by another way than it leaves."""
GATHER: Final = 0.001
"""Seconds that the first packet waits on the link for others while media is all that comes, in the mean,
and half as many more at most: a wake-up costs more than ten packets."""

REPORT_WAIT: Final = 0.1
"""Seconds that RTCP may wait to be told of: nobody waits for it, and most likely something else comes."""

PlaneEvent: TypeAlias = RecordReceived | StreamEvent


@dataclass(slots=True)
class PlaneCounters:
    """Plain totals since the start."""

    datagrams: int = 0
    """Link datagrams from peers."""
    records: int = 0
    raised: int = 0
    frames: int = 0
    reports: int = 0
    dropped: Counter[DropReason] = field(default_factory=Counter)
    """Records, and whole datagrams of strangers, that came to nothing."""
    handed_up: int = 0
    forwarded: int = 0
    played: int = 0
    """Frames that were sent, or tried, when they were due."""
    undelivered: Counter[DropReason] = field(default_factory=Counter)
    """Frames that were authenticated and then went nowhere."""
    records_out: int = 0
    """Records that left, media and other."""
    unsent: Counter[DropReason] = field(default_factory=Counter)
    """Records and frames that Python gave and that did not leave."""

    def conserved(self) -> bool:
        """Whether both laws hold."""
        came_to = self.raised + self.frames + self.reports + self.dropped.total()
        went = self.handed_up + self.forwarded + self.undelivered.total()
        return self.records == came_to and self.frames == went


class MediaPlane(Protocol):
    """See the module. No method but `rest` blocks. Commands are carried out in the order they are given."""

    @property
    def descriptor(self) -> int:
        """Readable when `take` has something; of reports, within REPORT_WAIT."""

    @property
    def waiting(self) -> bool:
        """Whether `take` has something that the descriptor does not tell of."""

    @property
    def counters(self) -> PlaneCounters:
        """Totals so far."""

    @property
    def loans(self) -> Loans | None:
        """What it does by itself of sessions that talk with a back end; None: nothing."""

    def take(self) -> list[PlaneEvent]:
        """What has happened since, in order within each stream; bounded, so it may leave some."""

    def open(
        self, stream: Stream, keys: SrtpKeys, audio: AudioParameters, ssrc: int, sequence: int
    ) -> None:
        """Receive and send with these keys. `ssrc` and the first `sequence` are those we send with."""

    def close(self, stream: Stream) -> None:
        """Forget the stream, its bindings and its forwarding; `StreamClosed` follows."""

    def bind(self, at: LinkLabel, stream: Stream) -> None:
        """That label's media is this stream's from now on, whosever it was."""

    def unbind(self, at: LinkLabel) -> None:
        """That label's records go up again."""

    def set_way(self, stream: Stream, way: LinkLabel | None) -> None:
        """Where the stream's media is sent; None: nowhere."""

    def forward(self, stream: Stream, target: Stream | None) -> None:
        """What comes on `stream` leaves on `target` (itself: an echo); None: it goes up."""

    def send(self, stream: Stream, frame: SendAudio) -> None:
        """Send one frame."""

    def send_report(self, stream: Stream, packet: bytes) -> None:
        """Encrypt and send one compound RTCP packet."""

    def send_record(self, record: SendRecord) -> None:
        """Send a record that is not media."""

    def receive(self, at: LinkLabel, datagram: bytes, *, takes_way: bool = False) -> None:
        """Treat a datagram as if a DATA record with that label had brought it (wire.md 2, INTRO).

        `takes_way`: if it is authentic, its stream is sent by that label from now on.
        """

    def hear(self, peers: Iterable[Endpoint]) -> None:
        """From now on these are the relays; bindings and ways of those who are none any more are gone."""

    def rest(self, until: Instant) -> None:
        """Sleep until then, and for what is under way then; at most GATHER longer."""

    def flush(self) -> None:
        """Begin to carry out what was asked for since the last flush."""

    def stats(self, stream: Stream) -> StreamStats:
        """That stream's figures."""

    def stop(self) -> None:
        """Carry out what was asked for, then touch neither link nor keys any more; `take` still gives."""
