"""Windows are kept."""

from __future__ import annotations

from workers.transceiver.core.sctp.outbox import Outgoing
from workers.transceiver.core.sctp.sender import Sender
from workers.transceiver.core.sctp.tally import Tally


def leave(sender: Sender, now: float = 1.0, packets: int = 100) -> int:
    count = 0
    for _ in range(packets):
        chunks: list[bytes] = []
        sender.fill(chunks, 1148, now)
        if not chunks:
            break
        assert sum(map(len, chunks)) <= 1148
        count += 1
    return count


def test_the_network_s_window_then_the_peer_s() -> None:
    sender = Sender(0, 1160, Tally())
    sender.peer_window = 1 << 20
    sender.outbox.push(Outgoing(1, 53, bytes(100_000)))
    assert leave(sender) in (10, 11)
    sender = Sender(0, 1160, Tally())
    sender.peer_window = 3000
    sender.outbox.push(Outgoing(1, 53, bytes(100_000)))
    leave(sender)
    assert sender.flight.flying <= 3000
    assert not sender.drained
    assert not sender.settled(1)


def test_a_closed_window_is_probed_by_one_chunk() -> None:
    sender = Sender(0, 1160, Tally())
    sender.outbox.push(Outgoing(1, 53, bytes(100_000)))
    assert leave(sender) == 1
    assert sender.resend_at == 1.5
    sender.expire(1.5, again=False)
    assert sender.resend_at == 2.5
    assert leave(sender, 1.5) == 1


def test_acknowledged_is_drained() -> None:
    sender = Sender(0xFFFF_FFFF, 1160, Tally())
    sender.peer_window = 10_000
    sender.outbox.push(Outgoing(1, 53, bytes(2000)))
    assert leave(sender) == 2
    assert sender.acknowledge(0, (), 10_000, 1.1) is not None
    assert sender.drained
    assert sender.settled(1)
    assert sender.resend_at is None
    assert sender.acknowledge(5, (), 10_000, 1.1) is None
