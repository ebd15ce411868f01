"""What two sessions tell each other about the media between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from ipc.messages.sessions import CloseReason
from tests.support.sessions import DELAY, End, Pair
from workers.transceiver.core.interface import CloseSession, LossReported, SendDatagram
from workers.transceiver.core.reports import INTERVAL
from workers.wire.rtcp import is_rtcp


def is_report(datagram: bytes) -> bool:
    return datagram[0] >= 128 and is_rtcp(datagram)


def talk(pair: Pair, seconds: float, *ends: End) -> Pair:
    """Frames of 20 ms from those ends."""
    began = pair.now
    for index in range(round(seconds * 50)):
        for end in ends:
            pair.speak(end, timestamp=round(began * 48_000) + index * 960)
        pair.run_until(lambda: False, began + (index + 1) * 0.02)
    return pair


def reports_of(pair: Pair, end: End) -> list[bytes]:
    return [datagram for who, _, datagram in pair.sent if who is end and is_report(datagram)]


def test_both_ends_learn_round_trip_loss_and_jitter_of_both_directions() -> None:
    pair = talk(Pair().connect(), 20, *End)
    for end in End:
        reports = pair.session(end).session.reports
        assert reports.round_trip == pytest.approx(2 * DELAY, abs=1e-3)
        assert reports.reported is not None
        assert reports.reported.lost == 0
        assert reports.reported.jitter < 1e-3


def losing(every: int) -> Callable[[End, bytes], Iterable[float]]:
    """A network that takes every so manieth frame of the client."""
    count = 0

    def fate(sender: End, datagram: bytes) -> Iterable[float]:
        nonlocal count
        if sender is End.CLIENT and datagram[0] >= 128 and not is_report(datagram):
            count += 1
            if count % every == 0:
                return ()
        return (DELAY,)

    return fate


def test_who_sends_learns_what_is_lost_on_the_way() -> None:
    pair = Pair().connect()
    pair.fate = losing(10)
    talk(pair, 20, *End)
    told = pair.client.session.reports.reported
    assert told is not None
    assert told.fraction_lost == pytest.approx(0.1, abs=0.02)
    assert told.lost == pytest.approx(90, abs=35)
    shares = [told.share for told in pair.outputs(End.CLIENT, LossReported)]
    assert len(shares) >= 3
    assert shares[-1] == told.fraction_lost
    told = pair.server.session.reports.reported
    assert told is not None
    assert told.lost == 0


def test_a_listener_reports_and_learns_nothing_of_itself() -> None:
    pair = talk(Pair().connect(), 20, End.CLIENT)
    assert pair.client.session.reports.reported is not None
    assert pair.client.session.reports.round_trip == pytest.approx(2 * DELAY, abs=1e-3)
    assert pair.server.session.reports.reported is None
    assert reports_of(pair, End.SERVER)


def test_the_first_report_is_early_and_the_rest_are_seconds_apart() -> None:
    pair = Pair().connect()
    pair.run(1.6)
    assert len(reports_of(pair, End.SERVER)) == 1
    pair.run(10 * INTERVAL)
    assert 7 <= len(reports_of(pair, End.SERVER)) <= 21


def test_without_audio_there_is_nothing_to_report() -> None:
    pair = Pair(audio=False).connect()
    pair.run(20)
    assert not any(is_report(datagram) for _, _, datagram in pair.sent)


def test_a_goodbye_goes_before_the_end_of_dtls() -> None:
    pair = Pair().connect()
    pair.run(2)
    outputs = pair.do(End.SERVER, CloseSession(CloseReason.HANGUP))
    sends = [output.datagram for output in outputs if isinstance(output, SendDatagram)]
    assert [is_report(datagram) for datagram in sends] == [True, False]
    pair.run(1)
    assert pair.client.session.reports.gone == pair.server.session._ssrc
    assert pair.ended(End.CLIENT) is CloseReason.PEER_CLOSED


def test_a_session_that_is_over_reports_no_more() -> None:
    pair = Pair().connect()
    pair.run(2)
    pair.do(End.SERVER, CloseSession(CloseReason.HANGUP))
    before = len(reports_of(pair, End.SERVER))
    pair.run(30)
    assert len(reports_of(pair, End.SERVER)) == before
