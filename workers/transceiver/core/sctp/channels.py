"""Data channels over the streams of an association (RFC 8831; RFC 8832 opens them).

Who sends the ClientHello opens even streams, the other odd ones. A channel is closed when both ends
have reset their stream of that number. Until the peer's ACK, unordered channels are ordered too, so
that nothing overtakes the OPEN.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from config.ids import Instant
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
from workers.transceiver.core.sctp.reassembly import MAX_STREAMS, Message
from workers.transceiver.core.sctp.tally import Tally
from workers.wire.dcep import (
    ChannelAck,
    ChannelOpen,
    PayloadProtocol,
    Reliability,
    encode_dcep,
    parse_dcep,
)
from workers.wire.types import DropReason, Malformed

MAX_LABEL: Final = 1024
"""Bytes of label and protocol together."""
_EMPTY: Final = b"\0"  # RFC 8831, 6.6: SCTP has no empty messages
_TEXTS: Final = frozenset({PayloadProtocol.TEXT, PayloadProtocol.EMPTY_TEXT})
_EMPTIES: Final = frozenset({PayloadProtocol.EMPTY_TEXT, PayloadProtocol.EMPTY_BINARY})
_DATA: Final = _EMPTIES | {PayloadProtocol.TEXT, PayloadProtocol.BINARY}

ChannelOutput: TypeAlias = ChannelOpened | MessageReceived | ChannelClosed | Dropped


class _Channel:
    __slots__ = ("acked", "closing", "open", "reset_by_peer", "reset_by_us")

    def __init__(self, open_: ChannelOpen, *, acked: bool) -> None:
        self.open = open_
        self.acked = acked
        self.closing = self.reset_by_us = self.reset_by_peer = False


class Channels:
    """The table of channels. It says what to send (`outgoing`) and which streams to reset."""

    def __init__(self, parameters: Parameters, tally: Tally) -> None:
        self.outgoing: list[Outgoing] = []
        self.to_reset: list[int] = []
        self._parameters: Final = parameters
        self._tally: Final = tally
        self._channels: dict[int, _Channel] = {}
        self._unannounced: list[int] = []

    def __len__(self) -> int:
        return len(self._channels)

    def opened(self) -> tuple[ChannelOpened, ...]:
        """The channels that messages can be sent on; who opened them follows from their numbers."""
        return tuple(
            self._opened(stream, by_peer=(stream % 2 == 0) is not self._parameters.even)
            for stream, channel in self._channels.items()
            if not channel.closing and stream not in self._unannounced
        )

    def open(self, event: OpenChannel, taken: frozenset[int], streams: int) -> DropReason | None:
        """Open one of ours on the first free stream; the reason if that cannot be."""
        if event.max_retransmits is not None:
            reliability, limit = Reliability.RETRANSMITS, event.max_retransmits
        elif event.max_lifetime is not None:
            reliability, limit = Reliability.LIFETIME, int(event.max_lifetime * 1000)
        else:
            reliability, limit = Reliability.RELIABLE, 0
        if len(event.label.encode()) + len(event.protocol.encode()) > MAX_LABEL:
            return DropReason.OVERSIZE
        if len(self._channels) >= self._parameters.max_channels or not 0 <= limit < 1 << 32:
            return DropReason.QUEUE_FULL
        first = 0 if self._parameters.even else 1
        free = (
            stream
            for stream in range(first, min(streams, MAX_STREAMS), 2)
            if stream not in self._channels and stream not in taken
        )
        stream = next(free, None)
        if stream is None:
            return DropReason.QUEUE_FULL
        opening = ChannelOpen(event.label, event.protocol, event.ordered, reliability, limit)
        self._channels[stream] = _Channel(opening, acked=False)
        self.outgoing.append(Outgoing(stream, PayloadProtocol.DCEP, encode_dcep(opening)))
        self._unannounced.append(stream)
        return None

    def announce(self) -> list[ChannelOutput]:
        """Channels of ours that can be used now, because the association stands."""
        opened = [self._opened(stream, by_peer=False) for stream in self._unannounced]
        self._unannounced.clear()
        return [*opened]

    def send(self, event: SendMessage, now: Instant) -> DropReason | None:
        """Put one message among the outgoing; the reason if that cannot be."""
        channel = self._channels.get(event.channel)
        if channel is None or channel.closing:
            return DropReason.UNKNOWN_CHANNEL
        limit = self._parameters.peer_max_message
        if limit and len(event.payload) > limit:
            return DropReason.OVERSIZE
        if event.payload:
            protocol = PayloadProtocol.TEXT if event.text else PayloadProtocol.BINARY
        else:
            protocol = PayloadProtocol.EMPTY_TEXT if event.text else PayloadProtocol.EMPTY_BINARY
        self._tally.taken(len(event.payload))
        opened = channel.open
        self.outgoing.append(
            Outgoing(
                event.channel,
                protocol,
                event.payload or _EMPTY,
                unordered=not opened.ordered and channel.acked,
                max_retransmits=(
                    opened.limit if opened.reliability is Reliability.RETRANSMITS else None
                ),
                expires_at=(
                    now + opened.limit / 1000
                    if opened.reliability is Reliability.LIFETIME
                    else None
                ),
            )
        )
        return None

    def close(self, stream: int) -> DropReason | None:
        """Close one; the reason if that cannot be."""
        channel = self._channels.get(stream)
        if channel is None or channel.closing:
            return DropReason.UNKNOWN_CHANNEL
        channel.closing = True
        self.to_reset.append(stream)
        return None

    def receive(self, message: Message) -> ChannelOutput | None:
        """One message of the peer; None if it was only for us."""
        stream, protocol, payload = message
        channel = self._channels.get(stream)
        if protocol == PayloadProtocol.DCEP:
            return self._on_dcep(stream, channel, payload)
        if channel is None or channel.closing:
            return Dropped(DropReason.UNKNOWN_CHANNEL)
        if protocol not in _DATA:
            return Dropped(DropReason.UNSUPPORTED)
        if protocol in _EMPTIES:
            payload = b""
        self._tally.came(len(payload))
        return MessageReceived(stream, payload, protocol in _TEXTS)

    def _on_dcep(
        self, stream: int, channel: _Channel | None, payload: bytes
    ) -> ChannelOutput | None:
        try:
            message = parse_dcep(payload)
        except Malformed as error:
            return Dropped(error.reason)
        if isinstance(message, ChannelAck):
            if channel is None:
                return Dropped(DropReason.UNKNOWN_CHANNEL)
            channel.acked = True
            return None
        if channel is not None or (stream % 2 == 0) is self._parameters.even:
            return Dropped(DropReason.UNEXPECTED_STATE)
        if (
            len(self._channels) >= self._parameters.max_channels
            or len(message.label.encode()) + len(message.protocol.encode()) > MAX_LABEL
        ):
            self.to_reset.append(stream)
            return Dropped(DropReason.QUEUE_FULL)
        self._channels[stream] = _Channel(message, acked=True)
        ack = encode_dcep(ChannelAck())
        self.outgoing.append(Outgoing(stream, PayloadProtocol.DCEP, ack))
        return self._opened(stream, by_peer=True)

    def peer_reset(self, streams: tuple[int, ...]) -> list[ChannelOutput]:
        """The peer reset these streams of its own; all of them if none is named."""
        outputs: list[ChannelOutput] = []
        for stream in streams or tuple(self._channels):
            channel = self._channels.get(stream)
            if channel is None:
                continue
            channel.reset_by_peer = True
            if not channel.closing:
                channel.closing = True
                self.to_reset.append(stream)
            outputs += self._closed(stream, channel)
        return outputs

    def we_reset(self, streams: tuple[int, ...]) -> list[ChannelOutput]:
        """Our own reset of these streams is done."""
        outputs: list[ChannelOutput] = []
        for stream in streams:
            channel = self._channels.get(stream)
            if channel is not None and channel.closing:
                channel.reset_by_us = True
                outputs += self._closed(stream, channel)
        return outputs

    def close_all(self) -> list[ChannelOutput]:
        """The association is no more."""
        closed: list[ChannelOutput] = [
            ChannelClosed(stream) for stream in self._channels if stream not in self._unannounced
        ]
        self._channels.clear()
        self._unannounced.clear()
        return closed

    def _closed(self, stream: int, channel: _Channel) -> list[ChannelOutput]:
        if not (channel.reset_by_us and channel.reset_by_peer):
            return []
        del self._channels[stream]
        return [ChannelClosed(stream)]

    def _opened(self, stream: int, *, by_peer: bool) -> ChannelOpened:
        opened = self._channels[stream].open
        return ChannelOpened(stream, opened.label, opened.protocol, opened.ordered, by_peer)
