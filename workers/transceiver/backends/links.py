"""Carries what a `Remote` and its end points say to each other: one DEALER for each end point."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

import trio

from ipc.backend.codec import encode_batches
from ipc.closing import Closing
from ipc.messages.stats import EndpointStats
from ipc.zmq_trio import Pattern, ZmqSocket
from workers.transceiver.backends.pool import EndpointName
from workers.transceiver.backends.remote import Remote
from workers.transceiver.core.interface import ForSession

LOOK: Final = 0.1
"""Seconds between two looks at heartbeats and connections."""

Prompt = Callable[[Remote, list[ForSession]], None]
"""Has sessions do what their back end wants."""


class Links(Closing):
    """Of one back end."""

    def __init__(self, remote: Remote, prompt: Prompt) -> None:
        self.unsent = 0
        """Items for end points that were not connected, or did not read."""
        self._remote = remote
        self._prompt = prompt
        self._stack = ExitStack()
        self._sockets: dict[EndpointName, ZmqSocket] = {}
        for endpoint in remote.endpoints:
            # Immediate: what was meant for a back end that is gone never reaches its successor.
            socket = self._stack.enter_context(ZmqSocket(Pattern.DEALER, immediate=True))
            socket.connect(endpoint)
            self._sockets[endpoint] = socket

    @property
    def name(self) -> str:
        """The back end's, as configured."""
        return self._remote.name

    def stats(self) -> dict[str, EndpointStats]:
        """Its end points, as they stand now."""
        return self._remote.stats()

    async def run(self) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            for endpoint, socket in self._sockets.items():
                nursery.start_soon(self._receive, endpoint, socket)
            nursery.start_soon(self._keep_time)

    def flush(self) -> None:
        """Send what waits, one batch for each end point."""
        outbox = self._remote.outbox
        if not outbox:
            return
        for endpoint, items in outbox.items():
            for count, data in encode_batches(items):
                if data is None or not self._sockets[endpoint].send_nowait([data]):
                    self.unsent += count
        outbox.clear()

    def close(self) -> None:
        """Say no more."""
        self._stack.close()

    async def _receive(self, endpoint: EndpointName, socket: ZmqSocket) -> None:
        while True:
            for frames in await socket.receive_batch():
                if len(frames) == 1:
                    now = trio.current_time()
                    self._prompt(self._remote, self._remote.receive(endpoint, frames[0], now))

    async def _keep_time(self) -> None:
        connections = dict.fromkeys(self._sockets, 0)
        while True:
            now = trio.current_time()
            for endpoint, socket in self._sockets.items():
                count = socket.count_connections()
                if count != connections[endpoint]:
                    connections[endpoint] = count
                    self._remote.reconnected(endpoint, now)
            if self._remote.next_pool_timeout() <= now:
                self._prompt(self._remote, self._remote.handle_pool_timeout(now))
            self.flush()
            await trio.sleep(LOOK)
