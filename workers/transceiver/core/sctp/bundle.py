"""Chunks share packets (RFC 9260, 6.10): control first, an acknowledgement, then data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from config.ids import Instant
from workers.transceiver.core.sctp.receiver import Receiver
from workers.transceiver.core.sctp.sender import Sender
from workers.wire.sctp import encode_chunk

MAX_BURST: Final = 32
"""Packets with data in one turn; acknowledgements of these bring the next turn."""


def bundle(
    control: list[bytes],
    receiver: Receiver,
    sender: Sender | None,
    room: int,
    backlog: int,
    now: Instant,
) -> Iterator[list[bytes]]:
    """The chunks of each packet that is to leave now, at most `room` bytes a packet.

    Takes everything from `control`; none of it is longer than `room`. No `sender`: data may not
    leave. An acknowledgement leaves when its time has come, or earlier in company of data.
    """
    arrivals, packets = receiver.arrivals, 0
    while control or packets < MAX_BURST:
        packets += 1
        left, chunks = room, []
        while control and len(control[0]) <= left:
            left -= len(control[0])
            chunks.append(control.pop(0))
        company = sender is not None and sender.ready(now)
        if arrivals.at is not None and (arrivals.at <= now or company):
            sack = encode_chunk(receiver.sack(backlog))
            if len(sack) > left:
                yield chunks
                left, chunks = room, []
            left -= len(sack)
            chunks.append(sack)
        if sender is not None:
            sender.fill(chunks, left, now)
        if not chunks:
            break
        yield chunks
