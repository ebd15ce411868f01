"""The data channels of one session: an SCTP association whose packets are messages of its DTLS.

    SendMessage --> Association --packets--> Dtls --> datagrams, on the path that is selected by then
    message of DTLS ------------> Association --> MessageReceived, ...

A session outlives its association, and may never have one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import assert_never

from config.ids import Instant
from workers.transceiver.core.dtls import Dtls
from workers.transceiver.core.interface import (
    ChannelEvent,
    Dropped,
    SendDatagram,
    SessionOutput,
    Unsent,
)
from workers.transceiver.core.paths import Paths
from workers.transceiver.core.sctp import interface as sctp
from workers.transceiver.core.sctp.association import Association
from workers.wire.types import DropReason


class Data:
    """What others ask of it before `begin` comes to nothing."""

    def __init__(
        self, dtls: Dtls, paths: Paths, associate: Callable[[sctp.Parameters], Association]
    ) -> None:
        self.association: Association | None = None
        """If data channels were agreed."""
        self._dtls = dtls
        self._paths = paths
        self._associate = associate

    def begin(self, parameters: sctp.Parameters, now: Instant) -> list[SessionOutput]:
        """There are keys, and data channels were agreed."""
        self.association = self._associate(parameters)
        return self._carry_out(self.association.start(now))

    def handle(self, event: ChannelEvent, now: Instant) -> list[SessionOutput]:
        """Send a message, open a channel or close one."""
        if self.association is None:
            return [
                Dropped(DropReason.UNEXPECTED_STATE),
                *_unsent(event, DropReason.UNEXPECTED_STATE),
            ]
        results = self.association.handle(event, now)
        outputs = self._carry_out(results)
        for result in results:
            if isinstance(result, sctp.Dropped):
                outputs += _unsent(event, result.reason)
        return outputs

    def receive(self, message: bytes, now: Instant) -> list[SessionOutput]:
        """What DTLS has decrypted."""
        if self.association is None:
            return [Dropped(DropReason.UNSUPPORTED)]
        return self._carry_out(self.association.handle(sctp.PacketReceived(message), now))

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` has something to do."""
        return None if self.association is None else self.association.next_timeout()

    def handle_timeout(self, now: Instant) -> list[SessionOutput]:
        """Whatever the association has to do by now."""
        due = self.next_timeout()
        if self.association is None or due is None or due > now:
            return []
        return self._carry_out(self.association.handle_timeout(now))

    def _carry_out(self, results: Iterable[sctp.AssociationOutput]) -> list[SessionOutput]:
        """Encrypt and send its packets; pass on the rest."""
        outputs: list[SessionOutput] = []
        path = self._paths.selected
        for result in results:
            match result:
                case sctp.SendPacket():
                    for datagram in self._dtls.send(result.packet):
                        if path is None or not path.permits(len(datagram)):
                            outputs.append(Dropped(DropReason.AMPLIFICATION_LIMIT))
                            continue
                        path.bytes_sent += len(datagram)
                        outputs.append(SendDatagram(path.path, datagram))
                case sctp.Dropped():
                    outputs.append(Dropped(result.reason))
                case sctp.AssociationClosed():
                    pass
                case sctp.ChannelOpened() | sctp.ChannelClosed() | sctp.MessageReceived():
                    outputs.append(result)
                case _:
                    assert_never(result)
        return outputs


def _unsent(event: ChannelEvent, reason: DropReason) -> list[SessionOutput]:
    match event:
        case sctp.SendMessage(channel=channel):
            return [Unsent(channel, reason)]
        case sctp.OpenChannel():
            return [Unsent(None, reason)]
        case sctp.CloseChannel():
            return []  # nothing is lost
        case _:
            assert_never(event)
