"""A small HTTP/1.1 client over trio: one request, one connection, a deadline, a bounded answer.

What runs in production carries no HTTP client library; h11 comes with the server.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import h11
import trio

MAX_BODY: Final = 262_144
_CHUNK: Final = 16_384
_PORTS: Final = {"http": 80, "https": 443}


class HttpFailed(Exception):
    """No answer; the text says why, for a human."""


class Response(NamedTuple):
    """An answer; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


async def request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes = b"",
    within: float = 10.0,
    tls: ssl.SSLContext | None = None,
) -> Response:
    """Send one request and read the answer. Raises HttpFailed."""
    parts = urlsplit(url)
    try:
        port = parts.port or _PORTS[parts.scheme]
    except (KeyError, ValueError):
        raise HttpFailed(f"{url}: not an http or https URL") from None
    if not parts.hostname:
        raise HttpFailed(f"{url}: no host name")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    sent = h11.Request(
        method=method,
        target=target,
        headers=[
            ("Host", parts.netloc.rpartition("@")[2]),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
            *headers.items(),
        ],
    )
    try:
        with trio.fail_after(within):
            stream: trio.abc.Stream = await trio.open_tcp_stream(parts.hostname, port)
            if parts.scheme == "https":
                stream = trio.SSLStream(
                    stream,
                    tls or ssl.create_default_context(),
                    server_hostname=parts.hostname,
                    https_compatible=True,
                )
            async with stream:
                return await _exchange(stream, sent, body)
    except trio.TooSlowError:
        raise HttpFailed(f"no HTTP answer within {within:g} s") from None
    except trio.BrokenResourceError as error:
        raise HttpFailed(f"{parts.netloc}: the connection broke: {_words(error)}") from error
    except OSError as error:
        raise HttpFailed(f"{parts.netloc}: {_words(error)}") from error
    except h11.RemoteProtocolError as error:
        raise HttpFailed(f"bad HTTP answer: {error}") from error


async def _exchange(stream: trio.abc.Stream, sent: h11.Request, body: bytes) -> Response:
    connection = h11.Connection(h11.CLIENT)
    parts = [sent, *([h11.Data(data=body)] if body else []), h11.EndOfMessage()]
    await stream.send_all(b"".join(connection.send(part) or b"" for part in parts))
    status, headers, received = 0, dict[str, str](), bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            chunk = bytes(await stream.receive_some(_CHUNK))
            if not chunk and not status:
                raise HttpFailed("the server closed the connection without an answer")
            connection.receive_data(chunk)
        elif isinstance(event, h11.Response):
            status = event.status_code
            headers = {
                name.decode("ascii"): value.decode("latin-1") for name, value in event.headers
            }
        elif isinstance(event, h11.Data):
            received += event.data
            if len(received) > MAX_BODY:
                raise HttpFailed(f"the answer is longer than {MAX_BODY} bytes")
        elif isinstance(event, h11.EndOfMessage):
            return Response(status, headers, bytes(received))


def _words(error: BaseException) -> str:
    """What the system said, from under trio's wrapping."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno)
        grouped = cause.exceptions if isinstance(cause, BaseExceptionGroup) else (cause.__cause__,)
        cause = grouped[0]
    return str(error) or type(error).__name__
