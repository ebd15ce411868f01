"""What the core says is sent: datagrams to clients at once, records to transceivers packed per batch.

All datapaths send it this way; the native one's thread is busy with media meanwhile.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Mapping

from config.ids import Endpoint
from workers.relay.core.interface import SendBack, SendDatagram, SendRecord
from workers.relay.datapath.sockets import DatagramSocket, sock_address
from workers.wire.link import encode_record, pack_records
from workers.wire.sending import send_failure
from workers.wire.types import DropReason


class Outbox:
    """Sends for the core, through the sockets of a datapath."""

    def __init__(
        self, ports: Mapping[Endpoint, DatagramSocket], link: socket.socket, mtu: int
    ) -> None:
        """`mtu`: most bytes in a link datagram."""
        self.unsent: Counter[DropReason] = Counter()
        """Datagrams that the network did not take."""
        self._ports = ports
        self._link = link
        self._mtu = mtu
        self._records: dict[Endpoint, list[bytes]] = {}

    def send_datagram(self, datagram: SendDatagram) -> None:
        """To a client, at once."""
        key = datagram.key
        self._send(self._ports[key.local], datagram.datagram, key.client)

    def send_back(self, back: SendBack) -> None:
        """To a Global Relay, at once: media that go there do not wait either."""
        key = back.key
        assert key.label is not None
        record = encode_record(back.type, back.flags, key.label, back.payload)
        self._send(self._ports[key.local], record, key.client)

    def send_record(self, record: SendRecord) -> None:
        """To a transceiver, with the next flush."""
        encoded = encode_record(record.type, record.flags, record.label, record.payload)
        self._records.setdefault(record.to, []).append(encoded)

    def flush(self) -> None:
        """Send the queued records, as many in a datagram as fit."""
        if not self._records:
            return
        for to, records in self._records.items():
            for datagram in pack_records(records, self._mtu):
                self._send(self._link, datagram, to)
        self._records.clear()

    def _send(self, sock: DatagramSocket, datagram: bytes, to: Endpoint) -> None:
        try:
            sock.sendto(datagram, sock_address(to))
        except OSError as error:
            self.unsent[send_failure(error)] += 1
