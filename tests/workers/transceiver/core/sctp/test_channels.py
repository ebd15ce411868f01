"""The table of channels."""

from __future__ import annotations

from workers.transceiver.core.sctp.channels import Channels
from workers.transceiver.core.sctp.interface import (
    ChannelClosed,
    ChannelOpened,
    Dropped,
    MessageReceived,
    OpenChannel,
    Parameters,
    SendMessage,
)
from workers.transceiver.core.sctp.outbox import Outgoing
from workers.transceiver.core.sctp.reassembly import Message
from workers.transceiver.core.sctp.tally import Tally
from workers.wire.dcep import ChannelAck, ChannelOpen, PayloadProtocol, encode_dcep
from workers.wire.types import DropReason

THEIRS = encode_dcep(ChannelOpen("theirs", ""))


def sent(channels: Channels) -> list[Outgoing]:
    outgoing, channels.outgoing = channels.outgoing, []
    return outgoing


def test_even_and_odd() -> None:
    even, odd = Channels(Parameters(even=True), Tally()), Channels(Parameters(even=False), Tally())
    for _ in range(2):
        assert even.open(OpenChannel("x"), frozenset((0,)), 10) is None
        assert odd.open(OpenChannel("x"), frozenset(), 10) is None
    assert [m.stream for m in sent(even)] == [2, 4]
    assert [m.stream for m in sent(odd)] == [1, 3]
    assert even.receive(Message(2, 50, THEIRS)) == Dropped(DropReason.UNEXPECTED_STATE)
    assert even.receive(Message(6, 50, THEIRS)) == Dropped(DropReason.UNEXPECTED_STATE)
    opened = ChannelOpened(7, "theirs", "", True, by_peer=True)
    assert even.receive(Message(7, 50, THEIRS)) == opened
    assert sent(even)[0].payload == encode_dcep(ChannelAck())


def test_unordered_only_after_the_acknowledgement() -> None:
    channels = Channels(Parameters(even=True), Tally())
    channels.open(OpenChannel("x", ordered=False, max_retransmits=3), frozenset(), 10)
    channels.send(SendMessage(0, b"a"), 0.0)
    assert channels.receive(Message(0, 50, encode_dcep(ChannelAck()))) is None
    channels.send(SendMessage(0, b"b"), 0.0)
    assert [m.unordered for m in sent(channels)] == [False, False, True]


def test_a_lifetime_is_an_instant() -> None:
    channels = Channels(Parameters(even=True), Tally())
    channels.open(OpenChannel("x", max_lifetime=0.25), frozenset(), 10)
    channels.send(SendMessage(0, b"a"), 100.0)
    assert sent(channels)[1].expires_at == 100.25


def test_streams_run_out() -> None:
    channels = Channels(Parameters(even=True), Tally())
    assert channels.open(OpenChannel("x"), frozenset(), 1) is None
    assert channels.open(OpenChannel("x"), frozenset(), 1) is DropReason.QUEUE_FULL


def test_closing_needs_both_ends() -> None:
    channels = Channels(Parameters(even=True), Tally())
    channels.receive(Message(1, 50, THEIRS))
    assert channels.peer_reset((1,)) == []
    assert channels.to_reset == [1]
    assert channels.receive(Message(1, 51, b"x")) == Dropped(DropReason.UNKNOWN_CHANNEL)
    assert channels.we_reset((1,)) == [ChannelClosed(1)]
    assert len(channels) == 0


def test_payloads() -> None:
    channels = Channels(Parameters(even=True), Tally())
    channels.receive(Message(1, 50, THEIRS))
    for protocol, payload, text in (
        (PayloadProtocol.TEXT, b"x", True),
        (PayloadProtocol.BINARY, b"x", False),
        (PayloadProtocol.EMPTY_TEXT, b"", True),
        (PayloadProtocol.EMPTY_BINARY, b"", False),
    ):
        carried = payload or b"\0"
        assert channels.receive(Message(1, protocol, carried)) == MessageReceived(1, payload, text)
    assert channels.receive(Message(1, 52, b"x")) == Dropped(DropReason.UNSUPPORTED)
    assert channels.receive(Message(1, 50, b"junk")) == Dropped(DropReason.MALFORMED_SCTP)


def test_those_that_can_be_used_are_listed() -> None:
    channels = Channels(Parameters(even=True), Tally())
    assert channels.open(OpenChannel("ours"), frozenset(), 10) is None
    assert channels.opened() == ()
    channels.announce()
    channels.receive(Message(7, 50, THEIRS))
    ours, theirs = channels.opened()
    assert (ours.channel, ours.label, ours.by_peer) == (0, "ours", False)
    assert (theirs.channel, theirs.label, theirs.by_peer) == (7, "theirs", True)
    assert channels.close(7) is None
    assert channels.opened() == (ours,)
