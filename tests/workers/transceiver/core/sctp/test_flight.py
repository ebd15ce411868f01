"""What has left: acknowledged, lost, sent again, given up."""

from __future__ import annotations

from typing import Any

from workers.transceiver.core.sctp.flight import MISSING_REPORTS, Flight
from workers.transceiver.core.sctp.outbox import Outgoing
from workers.wire.sctp_chunks import ForwardTsn


def sent(count: int, **limits: Any) -> Flight:
    flight = Flight(100)
    flight.partial = True
    for _ in range(count):
        message = Outgoing(1, 53, b"abcd", **limits)
        message.offset = 4
        flight.send(message, b"abcd", begin=True, now=1.0)
    assert flight.flying == flight.held == 20 * count
    return flight


def test_a_cumulative_acknowledgement() -> None:
    flight = sent(3)
    report = flight.acknowledge(101, (), 1.5)
    assert report is not None
    assert (report.cumulative, report.progress, report.round_trip, report.loss) == (
        40,
        True,
        0.5,
        False,
    )
    assert (len(flight), flight.flying, flight.held) == (1, 20, 20)
    assert flight.acknowledge(100, (), 2.0) is None
    assert flight.acknowledge(103, (), 2.0) is None
    assert flight.acknowledge(101, ((2, 1),), 2.0) is None


def test_three_reports_make_a_loss_and_three_later_ones_another() -> None:
    flight = sent(12)
    for count in range(1, MISSING_REPORTS + 1):
        report = flight.acknowledge(99, ((2, 1 + count),), 1.5)
        assert report is not None
        assert report.loss == (count == MISSING_REPORTS)
    assert flight.lost() == 20
    flight.resend(1.6)
    assert flight.lost() is None
    for count in range(5, 12):  # they left before it was sent again: they say nothing of it
        report = flight.acknowledge(99, ((2, count),), 1.7)
        assert report is None or not report.loss


def test_a_time_out_loses_everything() -> None:
    flight = sent(3)
    flight.acknowledge(99, ((2, 2),), 1.5)
    flight.expire(2.0, reneged=False)
    assert flight.flying == 0
    flight.resend(2.0)
    flight.resend(2.0)
    assert flight.lost() is None
    flight.expire(3.0, reneged=True)
    assert [flight.resend(3.0)[4:8] for _ in range(3)] == [
        bytes((0, 0, 0, n)) for n in (100, 101, 102)
    ]


def test_giving_up_tells_the_peer_until_it_knows() -> None:
    flight = sent(2, max_retransmits=0)
    flight.expire(2.0, reneged=False)
    assert flight.lost() is None
    assert flight.forward() == ForwardTsn(101, ((1, 0),))
    assert flight.forward() is None
    flight.expire(3.0, reneged=False)
    assert flight.forward() == ForwardTsn(101, ((1, 0),))
    flight.acknowledge(101, (), 3.1)
    assert (len(flight), flight.held, flight.forward()) == (0, 0, None)


def test_a_peer_without_forward_tsn_gets_everything() -> None:
    flight = sent(1, max_retransmits=0)
    flight.partial = False
    flight.expire(2.0, reneged=False)
    assert flight.lost() == 20
