"""Carries what a `Remote` and its end points say to each other: one DEALER for each end point.

It has no task of its own: whoever runs the transceiver's turns waits for the descriptors beside others,
so that one wake-up serves frames of clients and of back ends.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Final

from config.ids import Instant
from ipc.backend.codec import MAX_MESSAGE, encode_batches, extend_batch
from ipc.closing import Closing
from ipc.messages.stats import EndpointStats
from ipc.zmq_trio import Pattern, ZmqSocket
from workers.transceiver.backends.endpoints import EndpointName
from workers.transceiver.backends.remote import Remote
from workers.transceiver.core.interface import ForSession
from workers.wire.types import DropReason

TURN: Final = 262_144
"""Bytes that an end point is heard at a time, or one batch: others wait little, however much it says."""
QUEUE: Final = 64
"""Batches that wait either way; each may have a megabyte."""
HEARD: Final = 2 * MAX_MESSAGE
"""Bytes up to which a batch that is too large is told so; a larger one costs its sender the connection."""
LEAST: Final = 1024
"""What a batch counts beside its bytes."""
LOOK: Final = 0.1
"""Seconds between two calls of `keep_time`."""


class Links(Closing):
    """Of one back end."""

    def __init__(self, remote: Remote) -> None:
        self.remote: Final = remote
        self._stack = ExitStack()
        self._sockets: dict[EndpointName, ZmqSocket] = {}
        self._connections: dict[EndpointName, int] = {}
        for endpoint in remote.endpoints:
            # Immediate: what was meant for a back end that is gone never reaches its successor.
            socket = ZmqSocket(Pattern.DEALER, hwm=QUEUE, immediate=True, most=HEARD)
            self._stack.enter_context(socket)
            socket.count_connections()  # from the first one on
            socket.connect(endpoint)
            self._sockets[endpoint] = socket

    @property
    def name(self) -> str:
        """The back end's, as configured."""
        return self.remote.name

    @property
    def descriptors(self) -> list[int]:
        """Readable when something may have come since `waiting` was last false."""
        return [socket.descriptor for socket in self._sockets.values()]

    @property
    def waiting(self) -> bool:
        """Whether `take` has something. To be asked before each wait: a flush may eat what wakes."""
        return any(socket.receivable() for socket in self._sockets.values())

    def stats(self) -> dict[str, EndpointStats]:
        """Its end points, as they stand now."""
        return self.remote.stats()

    def take(self, now: Instant) -> list[ForSession]:
        """Hear end points, within bounds; what sessions are to do."""
        wanted: list[ForSession] = []
        for endpoint, socket in self._sockets.items():
            room = TURN
            while room > 0 and (frames := socket.receive_nowait()) is not None:
                room -= LEAST + sum(map(len, frames))
                if len(frames) == 1:
                    wanted += self.remote.receive(endpoint, frames[0], now)
        return wanted

    def keep_time(self, now: Instant) -> list[ForSession]:
        """Look at heartbeats and connections; what sessions are to do."""
        wanted: list[ForSession] = []
        for endpoint, socket in self._sockets.items():
            count = socket.count_connections()
            if count != self._connections.get(endpoint, 0):
                self._connections[endpoint] = count
                wanted += self.remote.reconnected(endpoint, now)
            elif not socket.is_connected:
                wanted += self.remote.disconnected(endpoint, now)
        if self.remote.next_pool_timeout() <= now:
            wanted += self.remote.handle_pool_timeout(now)
        return wanted

    def flush(self, now: Instant) -> None:
        """Send what waits, if it can be as one batch for each end point, and lend what is simple again."""
        outbox = self.remote.outbox
        for endpoint, batch, count in self.remote.take_batches(now):
            items = outbox.get(endpoint, [])
            if items and (whole := extend_batch(batch, count, items)) is not None:
                batch, count = whole, count + len(items)
                del outbox[endpoint]
            if not self._sockets[endpoint].send_nowait([batch]):
                self._missed(count)
        for endpoint, items in outbox.items():
            for count, data in encode_batches(items):
                if data is None or not self._sockets[endpoint].send_nowait([data]):
                    self._missed(count)
        outbox.clear()
        self.remote.lend(now)

    def _missed(self, items: int) -> None:
        # Their end point is not connected, or does not read.
        self.remote.dropped[DropReason.SEND_WOULD_BLOCK] += items

    def close(self) -> None:
        """Say no more."""
        self._stack.close()
