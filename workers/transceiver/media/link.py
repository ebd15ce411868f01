"""The transceiver's end of the link: one UDP socket, drained and written in batches."""

from __future__ import annotations

import socket
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from config.ids import Endpoint
from workers.transceiver.core.interface import RecordReceived, SendRecord
from workers.transceiver.media.base import PlaneCounters
from workers.wire.link import encode_record, pack_records, parse_records
from workers.wire.sending import send_failure
from workers.wire.types import DropReason, Malformed

BUDGET: Final = 256
"""Records and datagrams of one turn, so that timers and other tasks get theirs under load."""
_BUFFER: Final = 65_536


class Link:
    """Records in and out. What is queued leaves at `flush`, packed by relay, in order."""

    def __init__(self, sock: socket.socket, mtu: int, peers: Iterable[Endpoint]) -> None:
        """`sock`: bound, non-blocking. `mtu`: most bytes in a datagram we send.

        `peers`: the relays' link addresses. Who else may send to this socket (on loopback that is
        every user of the host) could put himself in a relay's place with an INTRO he has overheard.
        """
        self.socket = sock
        self.counters = PlaneCounters()
        self._mtu = mtu
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)
        self.hear(peers)
        self._queue: defaultdict[Endpoint, list[bytes]] = defaultdict(list)

    def fileno(self) -> int:
        """Readable when there are records."""
        return self.socket.fileno()

    def hear(self, peers: Iterable[Endpoint]) -> None:
        """These are the relays from now on."""
        self._peers: dict[tuple[str | int, ...], Endpoint] = {
            (*peer, 0, 0) if peer.is_ipv6 else peer: peer for peer in peers
        }

    def receive(self) -> Iterator[RecordReceived]:
        """The records that wait, within BUDGET; a datagram once begun is finished.

        Payloads are views of the one receive buffer: they hold until the next record is asked for.
        """
        receive_into, buffer, view = self.socket.recvfrom_into, self._buffer, self._view
        relay_at = self._peers.get
        budget = BUDGET
        while budget > 0:
            try:
                length, address = receive_into(buffer)
            except BlockingIOError:
                return
            budget -= 1  # also for an empty one
            relay = relay_at(address)
            if relay is None:
                self._drop(DropReason.UNKNOWN_PEER)
                continue
            self.counters.datagrams += 1
            try:
                for type_, flags, label, payload in parse_records(view[:length]):
                    yield RecordReceived(relay, type_, flags, label, payload)
                    budget -= 1
            except Malformed as error:
                self._drop(error.reason)

    def queue(self, record: SendRecord) -> None:
        """Send it with the next flush."""
        self._queue[record.relay].append(
            encode_record(record.type, record.flags, record.label, record.payload)
        )

    def flush(self) -> None:
        """Send what is queued."""
        if not self._queue:
            return
        for relay, records in self._queue.items():
            self.counters.records_out += len(records)
            for datagram in pack_records(records, self._mtu):
                self._send(datagram, relay)
        self._queue.clear()

    def _send(self, datagram: bytes, relay: Endpoint) -> None:
        try:
            self.socket.sendto(datagram, relay)
        except OSError as error:
            lost = sum(1 for _ in parse_records(datagram))
            self.counters.records_out -= lost
            self.counters.unsent[send_failure(error)] += lost

    def _drop(self, reason: DropReason) -> None:
        """A stranger's datagram, or the rest of one, counts as a record."""
        self.counters.records += 1
        self.counters.dropped[reason] += 1
