"""A door in front of Janus: `python -m bench.peers.janus_door API-SOCKET`.

Each call is a session with a handle on the echotest plugin, asked for over Janus's Unix socket: its own
API, without HTTP and long polls that would cost the peer CPU for nothing.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any, Final

from bench.peers.door import serve

PLUGIN: Final = "janus.plugin.echotest"
MAX_MESSAGE: Final = 1 << 16


class Janus:
    """Requests over one SOCK_SEQPACKET connection, many at a time."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.connect(path)
        self._socket.setblocking(False)
        self._numbers = count(1)
        self._waiting: dict[str, tuple[Callable[[Any], bool], asyncio.Future[Any]]] = {}

    async def read(self) -> None:
        """For ever: give each message to who waits for its transaction."""
        loop = asyncio.get_running_loop()
        while message := await loop.sock_recv(self._socket, MAX_MESSAGE):
            fields = json.loads(message)
            wanted, future = self._waiting.get(fields.get("transaction", ""), (None, None))
            if wanted and future and not future.done() and wanted(fields):
                future.set_result(fields)

    async def ask(self, until: str, **fields: Any) -> Any:
        """The first message of that kind in reply. Raises ValueError with Janus's own words."""
        transaction = str(next(self._numbers))
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[transaction] = (lambda reply: reply["janus"] in (until, "error"), future)
        try:
            request = json.dumps({**fields, "transaction": transaction}).encode()
            await asyncio.get_running_loop().sock_sendall(self._socket, request)
            reply = await future
        finally:
            del self._waiting[transaction]
        if reply["janus"] == "error":
            raise ValueError(reply["error"]["reason"])
        return reply


async def place(janus: Janus, offer: str) -> tuple[str, int]:
    """A session, a handle, the offer as the plugin's message; the answer comes with its event."""
    session = (await janus.ask("success", janus="create"))["data"]["id"]
    attach = janus.ask("success", janus="attach", session_id=session, plugin=PLUGIN)
    event = await janus.ask(
        "event",
        janus="message",
        session_id=session,
        handle_id=(await attach)["data"]["id"],
        body={"audio": True, "video": False},
        jsep={"type": "offer", "sdp": offer},
    )
    return event["jsep"]["sdp"], session


async def end(janus: Janus, session: int) -> None:
    """Destroy the session and all that it has."""
    await janus.ask("success", janus="destroy", session_id=session)


async def main(path: str) -> None:
    """Connect, and serve for ever."""
    janus = Janus(path)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(janus.read())
        tasks.create_task(serve(partial(place, janus), partial(end, janus)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
