"""What comes is noted once."""

from __future__ import annotations

import pytest

from workers.transceiver.core.sctp.reassembly import Message, ProtocolError
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


def test_the_window_and_its_reopening() -> None:
    receiver = Receiver(5, 1000, 2000)
    assert receiver.data(Data(7, 1, 1, 53, bytes(800))) == []
    assert receiver.data(Data(8, 1, 2, 53, bytes(800))) is DropReason.QUEUE_FULL
    assert receiver.sack(10_000).a_rwnd == 1000 - 864
    assert not receiver.reopened(10_000)
    receiver.data(Data(6, 1, 5, 53, bytes(800)))
    assert receiver.forward(ForwardTsn(7, ((1, 5),))) != []
    assert receiver.kept == 0
    assert receiver.reopened(10_000)
    assert receiver.sack(300).a_rwnd == 300
    assert receiver.forward(ForwardTsn(7)) == []
