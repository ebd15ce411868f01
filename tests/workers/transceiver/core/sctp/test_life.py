"""The chunk that brings an association further."""

from __future__ import annotations

import pytest

from workers.transceiver.core.sctp.handshake import MAX_ATTEMPTS
from workers.transceiver.core.sctp.life import Life
from workers.transceiver.core.sctp.states import AssociationState
from workers.wire.sctp import encode_chunk
from workers.wire.sctp_chunks import CookieEcho, Shutdown, ShutdownAck

S = AssociationState


def test_from_greeting_to_the_end() -> None:
    control: list[bytes] = []
    life = Life(control)
    life.greet(b"INIT", 1.0, 0.5)
    life.greet(b"INIT", 1.0, 0.5)
    life.echo(b"cake", 1.1, 0.5)
    life.establish()
    assert life.at is None
    life.enter(S.SHUTDOWN_PENDING)
    life.drained(7, 2.0, 0.5)
    life.peer_shuts_down(2.1, 0.5)
    assert life.state is S.SHUTDOWN_ACK_SENT
    assert control == [
        b"INIT",
        encode_chunk(CookieEcho(b"cake")),
        encode_chunk(Shutdown(7)),
        encode_chunk(ShutdownAck()),
    ]
    with pytest.raises(AssertionError):
        life.enter(S.ESTABLISHED)


def test_it_is_sent_again_so_often_and_no_more() -> None:
    control: list[bytes] = []
    life = Life(control)
    life.greet(b"INIT", 1.0, 0.5)
    while life.at is not None and life.again(life.at):
        pass
    assert control == [b"INIT"] * (1 + MAX_ATTEMPTS)
