"""How long a session lasts: at most so long, and not for long in silence."""

from __future__ import annotations

import pytest

from ipc.messages.sessions import CloseReason
from tests.support.sessions import End, Pair
from workers.transceiver.core.interface import CloseSession, SessionClosed
from workers.transceiver.core.sctp.interface import (
    ChannelOpened,
    MessageReceived,
    OpenChannel,
    SendMessage,
)


def closing_time(pair: Pair) -> float:
    """When the server ended it."""
    return next(at for at, end, o in pair.log if end is End.SERVER and isinstance(o, SessionClosed))


def talk(pair: Pair, seconds: float) -> None:
    """The client speaks, once a second."""
    for _ in range(round(seconds)):
        pair.speak(End.CLIENT)
        pair.run(1.0)


def test_the_longest_a_session_may_last() -> None:
    pair = Pair(max_duration=20.0).connect()
    connected_at = pair.now
    talk(pair, 18)
    assert pair.connected
    pair.run(5.0)
    assert pair.ended(End.SERVER) is CloseReason.MAX_DURATION
    assert closing_time(pair) == pytest.approx(connected_at + 20.0, abs=0.1)
    # DTLS close_notify told the client at once.
    assert pair.ended(End.CLIENT) is CloseReason.PEER_CLOSED


@pytest.mark.parametrize("speaker", list(End))
def test_audio_of_either_side_keeps_a_session(speaker: End) -> None:
    pair = Pair(idle_timeout=10.0).connect()
    for _ in range(5):
        pair.run(8.0)
        pair.speak(speaker)
    assert pair.connected
    last = pair.now
    pair.run(12.0)
    assert pair.ended(End.SERVER) is CloseReason.IDLE
    assert closing_time(pair) == pytest.approx(last + 10.0, abs=0.1)
    assert pair.ended(End.CLIENT) is CloseReason.PEER_CLOSED


@pytest.mark.parametrize("audio", [True, False])
@pytest.mark.parametrize("speaker", list(End))
def test_messages_keep_a_session(speaker: End, audio: bool) -> None:
    pair = Pair(idle_timeout=10.0, audio=audio, data=True).connect()
    pair.do(End.CLIENT, OpenChannel("x"))
    pair.run(1.0)
    channels = {end: pair.outputs(end, ChannelOpened)[0].channel for end in End}
    for n in range(5):
        pair.do(speaker, SendMessage(channels[speaker], b"%d" % n))
        pair.run(8.0)
    assert len(pair.outputs(speaker.other, MessageReceived)) == 5
    assert pair.connected
    last = pair.now - 8.0
    pair.run(12.0)
    assert pair.ended(End.SERVER) is CloseReason.IDLE
    assert closing_time(pair) == pytest.approx(last + 10.0, abs=0.1)


def test_checks_and_reports_alone_are_idle() -> None:
    pair = Pair(idle_timeout=15.0).connect()
    pair.run(20.0)
    assert pair.ended(End.SERVER) is CloseReason.IDLE


def test_without_limits_a_silent_session_goes_on() -> None:
    pair = Pair().connect()
    pair.run(600.0)
    assert pair.connected


def test_a_session_that_never_connects_has_only_the_connect_timeout() -> None:
    pair = Pair(idle_timeout=1.0, max_duration=1.0, fate=lambda _end, _datagram: ())
    pair.run(40.0)
    assert pair.ended(End.SERVER) is CloseReason.CONNECT_TIMEOUT


def test_the_end_comes_once() -> None:
    pair = Pair(idle_timeout=5.0).connect()
    pair.run(4.0)
    pair.do(End.SERVER, CloseSession(CloseReason.HANGUP))
    pair.run(10.0)
    assert pair.ended(End.SERVER) is CloseReason.HANGUP
