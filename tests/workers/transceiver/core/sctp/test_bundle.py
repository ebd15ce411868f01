"""Chunks share packets."""

from __future__ import annotations

from workers.transceiver.core.sctp.bundle import bundle
from workers.transceiver.core.sctp.outbox import Outgoing
from workers.transceiver.core.sctp.receiver import Receiver
from workers.transceiver.core.sctp.sender import Sender
from workers.transceiver.core.sctp.tally import Tally
from workers.wire.sctp_chunks import ChunkType, Data


def test_control_then_acknowledgement_then_data() -> None:
    receiver, sender = Receiver(1, 1000, 1000), Sender(0, 1160, Tally())
    sender.peer_window = 10_000
    sender.outbox.push(Outgoing(1, 53, b"hello"))
    receiver.data(Data(1, 1, 0, 53, b"x"))
    receiver.arrivals.packet(1.0, at_once=False)
    control = [b"\x0b\0\0\x04"]
    (packet,) = bundle(control, receiver, sender, 1148, 1000, 1.0)
    assert [chunk[0] for chunk in packet] == [11, ChunkType.SACK, ChunkType.DATA]
    assert control == []


def test_an_acknowledgement_alone_waits() -> None:
    receiver, sender = Receiver(1, 1000, 1000), Sender(0, 1160, Tally())
    receiver.data(Data(1, 1, 0, 53, b"x"))
    receiver.arrivals.packet(1.0, at_once=False)
    assert list(bundle([], receiver, sender, 1148, 1000, 1.0)) == []
    assert len(list(bundle([], receiver, None, 1148, 1000, 2.0))) == 1


def test_all_control_leaves() -> None:
    control = [bytes(1000)] * 100
    packets = list(bundle(control, Receiver(1, 1000, 1000), None, 1148, 1000, 1.0))
    assert len(packets) == 100
