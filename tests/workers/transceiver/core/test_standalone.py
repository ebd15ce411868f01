"""A session that carries its media itself: the stream's to the stream, the rest to the session."""

from __future__ import annotations

from config.ids import Endpoint
from tests.support.sessions import End, Pair
from workers.transceiver.core.interface import (
    AudioReceived,
    Dropped,
    MeasureMedia,
    MediaArrived,
    MediaMeasured,
    Path,
    ReportArrived,
    SendDatagram,
    SendReport,
    SessionEvent,
    SessionOutput,
)
from workers.transceiver.core.session import Session
from workers.transceiver.core.streams.interface import StreamStats
from workers.wire.rtcp import ReceiverReport, encode_rtcp
from workers.wire.types import DropReason

ELSEWHERE = Endpoint("192.0.2.77", 7)
REPORT = encode_rtcp([ReceiverReport(5)])


class Overheard(Session):
    """Remembers what it was told of its media; asks for figures and sends a report at a report."""

    told: list[SessionEvent]

    def handle(self, event: SessionEvent, now: float) -> list[SessionOutput]:
        outputs = super().handle(event, now)
        if isinstance(event, MediaArrived | MediaMeasured | ReportArrived):
            self.told.append(event)
        if isinstance(event, ReportArrived):
            outputs += [MeasureMedia(), SendReport(REPORT)]
        return outputs


def connected() -> tuple[Pair, Overheard]:
    pair = Pair().connect()
    session = pair.server.session
    session.__class__ = Overheard
    assert isinstance(session, Overheard)
    session.told = []
    return pair, session


def test_there_are_no_figures_before_there_are_keys() -> None:
    assert Pair().server.stats == StreamStats()


def test_the_session_is_told_of_the_first_media_and_not_of_each() -> None:
    pair, session = connected()
    for n in range(5):
        pair.speak(End.CLIENT, timestamp=n * 960)
        pair.run(0.1)
    assert session.told == [MediaArrived(pair.server_path)]
    assert pair.server.stats.packets_in == 5


def test_the_session_is_told_of_media_on_another_path_and_when_it_last_came_on_its_own() -> None:
    pair, session = connected()
    pair.speak(End.CLIENT)
    pair.run(0.1)
    heard_at = pair.server.stats.received_at
    other = Path(pair.server_path.transport, ELSEWHERE, pair.server_path.local)
    datagrams = [pair.speak(End.CLIENT, timestamp=n) for n in (1, 2)]
    pair.fate = lambda sender, datagram: ()
    assert pair.inject(End.SERVER, other, datagrams[0]) == [Dropped(DropReason.UNVERIFIED_PATH)]
    state = session._ice.paths.admit(other, pair.now)
    assert state is not None
    session._ice.paths.verify(state)
    (heard,) = pair.inject(End.SERVER, other, datagrams[1])
    assert isinstance(heard, AudioReceived)
    assert session.told[-1] == MediaArrived(other, heard_at)


def test_rtcp_is_the_sessions_and_so_are_its_questions() -> None:
    pair, session = connected()
    stream = pair.client._stream
    assert stream is not None
    report = stream.send_report(REPORT)
    assert isinstance(report, bytes)
    outputs = pair.inject(End.SERVER, pair.server_path, report)
    assert session.told[0] == ReportArrived(REPORT, pair.now)
    assert MediaMeasured(StreamStats(reports_in=1)) in session.told
    (sent,) = outputs
    assert isinstance(sent, SendDatagram)
    assert sent.path == pair.server_path
    assert stream.receive(sent.datagram, 0.0) == REPORT
