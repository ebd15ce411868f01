"""Streams take turns."""

from __future__ import annotations

from workers.transceiver.core.sctp.outbox import CHARGE, Outbox, Outgoing


def leave(outbox: Outbox, size: int, now: float = 0.0) -> list[tuple[int, int, bytes]]:
    left = []
    while (message := outbox.head(now)) is not None:
        left.append((message.stream, message.sequence, outbox.take(message, size)))
    return left


def test_streams_take_turns_and_messages_are_not_mixed() -> None:
    outbox = Outbox()
    for stream, payload in ((1, b"abcd"), (1, b"e"), (2, b"fg")):
        outbox.push(Outgoing(stream, 53, payload))
    assert outbox.queued == 7 + 3 * CHARGE
    assert leave(outbox, 2) == [(1, 0, b"ab"), (1, 0, b"cd"), (2, 0, b"fg"), (1, 1, b"e")]
    assert outbox.queued == 0
    assert not outbox.has(1)


def test_what_expired_does_not_leave_and_takes_no_number() -> None:
    outbox = Outbox()
    outbox.push(Outgoing(1, 53, b"old", expires_at=1.0))
    outbox.push(Outgoing(1, 53, b"new"))
    assert leave(outbox, 9, now=2.0) == [(1, 0, b"new")]
    assert outbox.queued == 0


def test_an_abandoned_message_stops_in_the_middle() -> None:
    outbox = Outbox()
    message = Outgoing(1, 53, b"abcd")
    outbox.push(message)
    head = outbox.head(0.0)
    assert head is message
    outbox.take(message, 2)
    assert outbox.has(1)
    message.abandoned = True
    assert outbox.head(0.0) is None
    assert outbox.queued == 0


def test_a_reset_stream_counts_from_0() -> None:
    outbox = Outbox()
    for _ in range(2):
        outbox.push(Outgoing(1, 53, b"a"))
        assert leave(outbox, 9) == [(1, 0, b"a")]
        outbox.reset(1)
