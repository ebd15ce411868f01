"""The line between supervisor and workers: one ROUTER, one DEALER per worker.

Both ends may vanish and come back. Nothing is queued for a peer that is not connected, and there are no
acknowledgements here: a worker says Hello to every new supervisor, and the supervisor then tells the
whole truth again.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from ipc.closing import Closing
from ipc.codec import CodecError, decode, encode
from ipc.lost import Losses, Lost
from ipc.messages import Message
from ipc.zmq_trio import Pattern, ZmqSocket

QUEUE: Final = 1000
"""Messages that wait per direction and peer."""


def identity(name: str, generation: int, pid: int) -> bytes:
    """What the supervisor knows a worker process by. Two processes never have the same one."""
    return f"{name}:{generation}:{pid}".encode()


class ControlServer(Closing):
    """The supervisor's end. Raises EndpointInUse if another supervisor serves that path."""

    def __init__(self, endpoint: str, lost: Losses | None = None) -> None:
        self.endpoint = endpoint
        self.lost = Losses() if lost is None else lost
        self.waiting: deque[tuple[bytes, Message]] = deque()
        """What has come and was not received yet."""
        self._socket = ZmqSocket(Pattern.ROUTER, hwm=QUEUE)
        try:
            self._socket.bind(endpoint)
        except BaseException:
            self._socket.close()
            raise

    async def receive(self) -> tuple[bytes, Message]:
        """The next message and the identity of who sent it; malformed ones are counted and skipped."""
        while not self.waiting:
            for frames in await self._socket.receive_batch():
                try:
                    peer, data = frames
                    self.waiting.append((peer, decode(data)))
                except (CodecError, ValueError):
                    self.lost[Lost.CONTROL_MALFORMED] += 1
        return self.waiting.popleft()

    def send(self, peer: bytes, message: Message) -> bool:
        """Queue a message for that identity; False, and counted, if it is gone or does not read."""
        sent = self._socket.send_nowait([peer, encode(message)])
        self.lost[Lost.CONTROL_UNDELIVERED] += not sent
        return sent

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


class ControlClient:
    """A worker's end. Connects again by itself when a supervisor binds the same path."""

    def __init__(self, endpoint: str, identity: bytes) -> None:
        self.lost = Losses()
        self._socket = ZmqSocket(Pattern.DEALER, hwm=QUEUE, identity=identity, immediate=True)
        try:
            self._socket.count_connections()
            self._socket.connect(endpoint)
        except BaseException:
            self._socket.close()
            raise

    @property
    def connection(self) -> int:
        """The number of the connection, from 1: when it changes, the supervisor may be another one."""
        return self._socket.count_connections()

    async def receive(self) -> Message:
        """The next message of the supervisor; malformed ones are counted and skipped."""
        while True:
            frames = await self._socket.receive()
            try:
                if len(frames) == 1:
                    return decode(frames[0])
            except CodecError:
                pass
            self.lost[Lost.CONTROL_MALFORMED] += 1

    async def send(self, message: Message) -> None:
        """Queue a message, waiting until a supervisor is connected."""
        await self._socket.send([encode(message)])

    def send_nowait(self, message: Message) -> bool:
        """Queue a message; False, and counted, if no supervisor is connected."""
        sent = self._socket.send_nowait([encode(message)])
        self.lost[Lost.CONTROL_UNDELIVERED] += not sent
        return sent

    def close(self) -> None:
        """Disconnect; what is queued is lost."""
        self._socket.close()
