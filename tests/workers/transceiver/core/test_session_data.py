"""Data channels of two sessions: over DTLS, over a network."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.support.sessions import DELAY, End, Pair
from workers.transceiver.core.interface import Dropped, DtlsRole, Unsent
from workers.transceiver.core.sctp.interface import (
    MAX_MESSAGE,
    ChannelClosed,
    ChannelOpened,
    CloseChannel,
    MessageReceived,
    OpenChannel,
    SendMessage,
)
from workers.transceiver.core.states import SessionState
from workers.wire.types import DropReason


@pytest.mark.parametrize("role", list(DtlsRole))
@pytest.mark.parametrize("audio", [True, False])
def test_messages_go_both_ways(role: DtlsRole, audio: bool) -> None:
    pair = Pair(client_dtls=role, audio=audio, data=True).connect()
    pair.do(End.CLIENT, OpenChannel("chat", "v1"))
    pair.run(0.5)
    channel = 0 if role is DtlsRole.ACTIVE else 1
    opened = ChannelOpened(channel, "chat", "v1", True, by_peer=True)
    assert pair.outputs(End.SERVER, ChannelOpened) == [opened]
    pair.do(End.CLIENT, SendMessage(channel, "héllo".encode(), True))
    pair.do(End.SERVER, SendMessage(channel, bytes(100_000)))
    pair.run(2)
    assert pair.outputs(End.SERVER, MessageReceived) == [
        MessageReceived(channel, "héllo".encode(), True)
    ]
    assert pair.outputs(End.CLIENT, MessageReceived) == [
        MessageReceived(channel, bytes(100_000), False)
    ]
    pair.do(End.SERVER, CloseChannel(channel))
    pair.run(1)
    for end in End:
        assert pair.outputs(end, ChannelClosed) == [ChannelClosed(channel)]


def test_datagrams_stay_below_the_mtu() -> None:
    pair = Pair(data=True).connect()
    pair.do(End.CLIENT, OpenChannel("big"))
    pair.run(0.5)
    pair.do(End.CLIENT, SendMessage(0, bytes(50_000)))
    pair.run(1)
    assert len(pair.outputs(End.SERVER, MessageReceived)) == 1
    assert max(len(datagram) for _, _, datagram in pair.sent) <= 1200


def lost(outputs: Sequence[object]) -> list[Dropped | Unsent]:
    return [output for output in outputs if isinstance(output, Dropped | Unsent)]


def test_what_leads_nowhere_is_told_to_whoever_wanted_it() -> None:
    pair = Pair(data=True).connect()
    pair.do(End.CLIENT, OpenChannel("x"))
    pair.run(0.5)
    for event, channel, reason in (
        (SendMessage(2, b"x"), 2, DropReason.UNKNOWN_CHANNEL),
        (OpenChannel("x" * 2000), None, DropReason.OVERSIZE),
    ):
        assert lost(pair.do(End.CLIENT, event)) == [Dropped(reason), Unsent(channel, reason)]
    outputs = [pair.do(End.CLIENT, SendMessage(0, bytes(MAX_MESSAGE))) for _ in range(17)]
    full = DropReason.QUEUE_FULL
    assert lost(outputs[-1]) == [Dropped(full), Unsent(0, full)]
    assert pair.do(End.CLIENT, CloseChannel(2)) == [Dropped(DropReason.UNKNOWN_CHANNEL)]


def test_without_an_agreement_there_are_no_channels() -> None:
    pair = Pair().connect()
    nowhere = Dropped(DropReason.UNEXPECTED_STATE)
    unopened = Unsent(None, DropReason.UNEXPECTED_STATE)
    assert pair.do(End.CLIENT, OpenChannel("x")) == [nowhere, unopened]
    early = Pair(data=True)
    assert early.do(End.CLIENT, OpenChannel("x")) == [Dropped(DropReason.UNEXPECTED_STATE)]


def test_through_loss() -> None:
    seen = 0

    def fate(_end: End, _datagram: bytes) -> tuple[float, ...]:
        nonlocal seen
        seen += 1
        return () if seen % 20 == 19 else (DELAY,)

    pair = Pair(fate=fate, data=True).connect()
    pair.do(End.CLIENT, OpenChannel("x"))
    pair.run(5)
    sent = [bytes([n]) * 10_000 for n in range(30)]
    for message in sent:
        pair.do(End.CLIENT, SendMessage(0, message))
    pair.run(30)
    assert [m.payload for m in pair.outputs(End.SERVER, MessageReceived)] == sent


@pytest.mark.parametrize("role", list(DtlsRole))
def test_with_snap_a_message_leaves_as_soon_as_dtls_stands(role: DtlsRole) -> None:
    pair = Pair(client_dtls=role, data=True, snap=True)
    pair.run_until(lambda: pair.client.state is SessionState.CONNECTED)
    began = pair.now
    pair.do(End.CLIENT, OpenChannel("chat"))
    pair.do(End.CLIENT, SendMessage(0 if role is DtlsRole.ACTIVE else 1, b"hello", True))
    pair.run_until(lambda: bool(pair.outputs(End.SERVER, MessageReceived)))
    (message,) = pair.outputs(End.SERVER, MessageReceived)
    assert message.payload == b"hello"
    assert pair.now - began == pytest.approx(DELAY)
