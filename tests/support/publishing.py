"""An address where something is published: what it answers, a test sets while it is asked."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import trio


class Publisher:
    """Answers whatever it is asked with the same."""

    def __init__(self, body: str) -> None:
        self.body = body
        self.status = "200 OK"
        self.headers = ""
        self.asked = 0
        self.may_answer = trio.Event()
        self.may_answer.set()
        self.url = ""

    async def serve(self, stream: trio.abc.Stream) -> None:
        """One request."""
        async with stream:
            try:
                head = b""
                while b"\r\n\r\n" not in head:
                    chunk = await stream.receive_some()
                    if not chunk:
                        return
                    head += chunk
                self.asked += 1
                await self.may_answer.wait()
                body = self.body.encode()
                answer = (
                    f"HTTP/1.1 {self.status}\r\n{self.headers}content-length: {len(body)}\r\n\r\n"
                )
                await stream.send_all(answer.encode() + body)
            except trio.BrokenResourceError:
                pass


@asynccontextmanager
async def publishing(body: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[Publisher]:
    """On a port of this machine, until the end of the block."""
    publisher = Publisher(body)
    async with trio.open_nursery() as nursery:
        serve = (
            partial(trio.serve_ssl_over_tcp, ssl_context=tls, host="127.0.0.1")
            if tls
            else partial(trio.serve_tcp, host="127.0.0.1")
        )
        (listener,) = await nursery.start(serve, publisher.serve, 0)
        inner = listener.transport_listener if tls else listener
        port = inner.socket.getsockname()[1]
        publisher.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/jwks.json"
        yield publisher
        nursery.cancel_scope.cancel()
