"""What comes is noted once."""

from __future__ import annotations

import pytest

from workers.transceiver.core.sctp.interface import IN_FLIGHT
from workers.transceiver.core.sctp.reassembly import WAITING, Message, ProtocolError
from workers.transceiver.core.sctp.receiver import Receiver
from workers.wire.sctp_chunks import Data, ForwardTsn
from workers.wire.types import DropReason


def test_data_comes_once() -> None:
    receiver = Receiver(5, 1000, 1000)
    assert receiver.data(Data(5, 1, 0, 53, b"a")) == [Message(1, 53, b"a")]
    assert receiver.data(Data(5, 1, 0, 53, b"a")) == []
    assert receiver.sack(10_000).duplicates == (5,)
    assert receiver.data(Data(6, 5000, 0, 53, b"a")) is DropReason.UNKNOWN_CHANNEL
    with pytest.raises(ProtocolError):
        receiver.data(Data(7, 1, 1, 53, b""))


def test_what_cannot_be_answered_must_come_again() -> None:
    receiver = Receiver(5, 1000, 1000)
    assert receiver.data(Data(5, 1, 0, 53, b"a"), full=True) is DropReason.QUEUE_FULL
    assert receiver.sack(0).a_rwnd == 0
    assert receiver.data(Data(5, 1, 0, 53, b"a")) == [Message(1, 53, b"a")]


def test_more_is_kept_than_may_be_on_its_way() -> None:
    receiver = Receiver(5, 4 * IN_FLIGHT, IN_FLIGHT)
    assert receiver.sack(1 << 30).a_rwnd == IN_FLIGHT
    for tsn in range(5, 105):
        receiver.data(Data(tsn, 1, 0, 53, bytes(1000), tsn == 5, False))
    assert receiver.kept > 100_000
    assert receiver.sack(1 << 30).a_rwnd == IN_FLIGHT


def test_the_window_and_its_reopening() -> None:
    receiver = Receiver(5, 1000, 2000)
    assert receiver.data(Data(7, 1, 1, 53, bytes(700))) == []
    assert receiver.data(Data(8, 1, 2, 53, bytes(700))) is DropReason.QUEUE_FULL
    assert receiver.sack(10_000).a_rwnd == 1000 - 700 - WAITING
    assert not receiver.reopened(10_000)
    receiver.data(Data(6, 1, 5, 53, bytes(700)))
    assert receiver.forward(ForwardTsn(7, ((1, 5),))) != []
    assert receiver.kept == 0
    assert receiver.reopened(10_000)
    assert receiver.sack(300).a_rwnd == 300
    assert receiver.forward(ForwardTsn(7)) == []
