"""What a session says of itself, through its life."""

from __future__ import annotations

from ipc.messages.details import ChannelDetail, LimitDetail
from ipc.messages.sessions import CloseReason
from tests.support.sessions import End, Pair
from workers.transceiver.core.facts import Facts
from workers.transceiver.core.interface import CloseSession
from workers.transceiver.core.sctp.interface import CloseChannel, OpenChannel, SendMessage


def facts(pair: Pair) -> Facts:
    return pair.server.session.facts(pair.now)


def test_before_anybody_came_there_is_a_deadline_and_nothing_else() -> None:
    pair = Pair()
    found = facts(pair)
    assert (found.paths, found.dtls, found.channels) == ({}, "", ())
    assert found.limits == LimitDetail(connect=30.0)


def test_of_a_session_that_is_connected() -> None:
    pair = Pair().connect()
    pair.run(1)
    found = facts(pair)
    (path,) = found.paths.values()
    assert (path.selected, path.verified, path.proven) == (True, True, True)
    assert 0 <= path.silence <= 10
    assert found.dtls == "DTLS 1.2 passive, AEAD_AES_128_GCM"
    assert found.limits.connect is None
    assert found.limits.consent is not None
    assert 0 < found.limits.consent <= 30
    assert (found.limits.max_duration, found.limits.idle) == (None, None)


def test_channels_that_can_be_used_and_what_waits_in_them() -> None:
    pair = Pair(data=True).connect()
    pair.do(End.CLIENT, OpenChannel("chat", "v1", ordered=False))
    pair.run(0.5)
    (channel,) = facts(pair).channels
    assert channel == ChannelDetail(channel.channel, "chat", "v1", False)
    assert facts(pair).buffered == 0
    pair.do(End.SERVER, SendMessage(channel.channel, bytes(50_000)))
    assert facts(pair).buffered >= 50_000
    pair.do(End.SERVER, CloseChannel(channel.channel))
    assert facts(pair).channels == ()


def test_it_can_be_asked_after_its_end() -> None:
    pair = Pair().connect()
    pair.do(End.SERVER, CloseSession(CloseReason.HANGUP))
    assert facts(pair).dtls
