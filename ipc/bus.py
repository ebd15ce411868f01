"""One way, many to one: statistics and events of the workers, to whoever binds.

PUSH and PULL rather than PUB and SUB: a full queue or a missing subscriber is seen by the sender, so
what is dropped can be counted.
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
"""Messages that wait per direction and connection."""


class Publisher:
    """Connects and publishes; never waits for anybody."""

    def __init__(self, endpoint: str, *, queue: int = QUEUE, lost: Losses | None = None) -> None:
        self.lost = Losses() if lost is None else lost
        self._socket = ZmqSocket(Pattern.PUSH, hwm=queue, immediate=True)
        try:
            self._socket.connect(endpoint)
        except BaseException:
            self._socket.close()
            raise

    def publish(self, message: Message) -> bool:
        """Queue a message. False, and counted, if it was dropped."""
        try:
            sent = self._socket.send_nowait([encode(message)])
        except CodecError:
            sent = False
        self.lost[Lost.NEWS_UNDELIVERED] += not sent
        return sent

    def close(self) -> None:
        """Close; what is queued is lost."""
        self._socket.close()


class Subscriber(Closing):
    """Binds and iterates over what all publishers say: `async for message in subscriber`."""

    def __init__(self, endpoint: str, *, queue: int = QUEUE, lost: Losses | None = None) -> None:
        self.endpoint = endpoint
        self.lost = Losses() if lost is None else lost
        self._waiting: deque[Message] = deque()
        self._socket = ZmqSocket(Pattern.PULL, hwm=queue)
        try:
            self._socket.bind(endpoint)
        except BaseException:
            self._socket.close()
            raise

    def __aiter__(self) -> Subscriber:
        return self

    async def __anext__(self) -> Message:
        while not self._waiting:
            for frames in await self._socket.receive_batch():
                try:
                    self._waiting.append(decode(frames[0] if len(frames) == 1 else b""))
                except CodecError:
                    self.lost[Lost.NEWS_MALFORMED] += 1
        return self._waiting.popleft()

    def close(self) -> None:
        """Stop listening; whoever iterates gets trio.ClosedResourceError."""
        self._socket.close()
