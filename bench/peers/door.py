"""An HTTP door on asyncio that speaks what `tandem call` speaks: POST an offer, DELETE the call.

Only as much as that one client needs: a connection a request, a body of known length.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, Final, TypeAlias

MAX_OFFER: Final = 1 << 16
WITHIN: Final = 10.0

Place: TypeAlias = Callable[[str], Awaitable[tuple[str, Any]]]
"""From an offer to the answer and to whatever `End` needs to know of the call."""
End: TypeAlias = Callable[[Any], Awaitable[None]]


async def serve(place: Place, end: End) -> None:
    """For ever, at a port of the kernel's choice; prints its URL when it listens."""
    calls: dict[str, Any] = {}
    numbers = count(1)

    async def request(reader: asyncio.StreamReader) -> bytes:
        line = (await reader.readline()).decode()
        method, path, _ = line.split()
        length = 0
        while (header := (await reader.readline()).strip()) != b"":
            name, _, value = header.partition(b":")
            if name.lower() == b"content-length":
                length = min(int(value), MAX_OFFER)
        if method == "POST":
            answer, call = await place((await reader.readexactly(length)).decode())
            path = f"/calls/{next(numbers)}"
            calls[path] = call
            return _response("201 Created", answer, f"Location: {path}")
        if method == "DELETE" and (call := calls.pop(path, None)) is not None:
            await end(call)
            return _response("200 OK")
        return _response("404 Not Found")

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            response = await asyncio.wait_for(request(reader), WITHIN)
        except (OSError, ValueError, asyncio.IncompleteReadError, TimeoutError) as error:
            response = _response("500 Internal Server Error", f"{type(error).__name__}: {error}")
        writer.write(response)
        writer.close()

    server = await asyncio.start_server(client, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/calls", flush=True)
    await server.serve_forever()


def _response(status: str, body: str = "", *headers: str) -> bytes:
    head = [
        f"HTTP/1.1 {status}",
        "Content-Type: application/sdp",
        f"Content-Length: {len(body.encode())}",
        "Connection: close",
        *headers,
    ]
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode()
