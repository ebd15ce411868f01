"""A session that carries its media itself, packet by packet: the caller's, and the tests' oracle.

    datagram --> SRTP, from a verified path --> AudioStream --> AudioReceived
             --> all else                   --> Session

It is to its one session what a media plane is to all of a transceiver's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from config.ids import Instant
from workers.transceiver.core.audio import AudioStream
from workers.transceiver.core.interface import (
    DatagramReceived,
    Dropped,
    MeasureMedia,
    MediaArrived,
    MediaMeasured,
    OpenMedia,
    Path,
    ReportArrived,
    SendAudio,
    SendDatagram,
    SendReport,
    SessionOutput,
    StandaloneEvent,
    StandaloneOutput,
)
from workers.transceiver.core.reports import Reported
from workers.transceiver.core.session import Session
from workers.transceiver.core.states import SessionState
from workers.transceiver.core.streams.interface import StreamStats
from workers.wire.demux import KINDS, Kind
from workers.wire.types import DropReason

# Once per packet: an enum of Python 3.11 gives its members through a slow descriptor.
RTP: Final = Kind.RTP


class Standalone:
    """The same door as `Session`, with audio going in and out of it."""

    def __init__(self, session: Session) -> None:
        self.session: Final = session
        self._stream: AudioStream | None = None
        """From CONNECTED on, if audio was agreed."""
        self._came_on: Path | None = None
        """Where the last media came."""
        self._selected: Path | None = None
        self._selected_at: Instant = 0.0
        """When media last came on that path, selected at the time."""

    @property
    def state(self) -> SessionState:
        """Where the session stands."""
        return self.session.state

    @property
    def stats(self) -> StreamStats:
        """Of its audio."""
        return StreamStats() if self._stream is None else self._stream.stats

    @property
    def round_trip(self) -> float | None:
        """As `Session.round_trip`."""
        return self.session.round_trip

    @property
    def reported(self) -> Reported | None:
        """As `Session.reported`."""
        return self.session.reported

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` has something to do; None once closed."""
        return self.session.next_timeout()

    def handle_timeout(self, now: Instant) -> list[StandaloneOutput]:
        """As `Session.handle_timeout`."""
        outputs: list[StandaloneOutput] = []
        self._do(self.session.handle_timeout(now), outputs, now)
        return outputs

    def handle(self, event: StandaloneEvent, now: Instant) -> list[StandaloneOutput]:
        """Take one event."""
        if isinstance(event, SendAudio):
            return self._send(event, now)
        if isinstance(event, DatagramReceived):
            datagram = event.datagram
            if datagram and KINDS[datagram[0]] is RTP and self.state is SessionState.CONNECTED:
                return self._receive(event, now)
        outputs: list[StandaloneOutput] = []
        self._do(self.session.handle(event, now), outputs, now)
        return outputs

    def _receive(self, event: DatagramReceived, now: Instant) -> list[StandaloneOutput]:
        path, datagram = event.path, event.datagram
        if self._stream is None or not self.session.accepts_from(path):
            return [Dropped(DropReason.UNVERIFIED_PATH)]
        media = self._stream.receive(datagram, now)
        if isinstance(media, DropReason):
            return [Dropped(media)]
        outputs: list[StandaloneOutput] = []
        if isinstance(media, bytes):
            self._do(self.session.handle(ReportArrived(media, now), now), outputs, now)
        else:
            outputs.append(media)
        selected = self.session.selected_path
        if path != selected or path != self._came_on:
            selected_at = self._selected_at if selected == self._selected else 0.0
            arrived = MediaArrived(path, selected_at)
            self._do(self.session.handle(arrived, now), outputs, now)
        if path == selected:
            self._selected, self._selected_at = selected, now
        self._came_on = path
        return outputs

    def _send(self, frame: SendAudio, now: Instant) -> list[StandaloneOutput]:
        path = self.session.media_path
        if path is None or self._stream is None:
            return [Dropped(DropReason.UNEXPECTED_STATE)]
        datagram = self._stream.send(frame, now)
        if isinstance(datagram, DropReason):
            return [Dropped(datagram)]
        return [SendDatagram(path, datagram)]

    def _do(
        self, produced: Iterable[SessionOutput], outputs: list[StandaloneOutput], now: Instant
    ) -> None:
        """Keep what is a stream's business, pass on the rest."""
        for output in produced:
            match output:
                case OpenMedia(keys, audio, ssrc, sequence):
                    self._stream = AudioStream(keys, audio, ssrc, sequence)
                case SendReport(packet):
                    self._send_report(packet, outputs)
                case MeasureMedia():
                    measured = MediaMeasured(self.stats)
                    self._do(self.session.handle(measured, now), outputs, now)
                case _:
                    outputs.append(output)

    def _send_report(self, packet: bytes, outputs: list[StandaloneOutput]) -> None:
        # Not `media_path`: a goodbye comes out as the session closes.
        path = self.session.selected_path
        if path is None or self._stream is None:
            return
        datagram = self._stream.send_report(packet)
        if not isinstance(datagram, DropReason):
            outputs.append(SendDatagram(path, datagram))
