"""A small HTTP/1.1 client over trio: one request, one connection, a deadline, a bounded answer.

What runs in production carries no HTTP client library; h11 comes with the server.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import quote, urlsplit

import h11
import trio

MAX_BODY: Final = 262_144
_CHUNK: Final = 16_384
_PORTS: Final = {"http": 80, "https": 443}
_IN_TARGETS: Final = "".join(map(chr, range(0x21, 0x7F)))
"""What stays as it is in a request's target; all else is percent-encoded."""


class HttpFailed(Exception):
    """No answer; the text says why, for a human."""


class ConnectionLost(HttpFailed):
    """It broke before there was an answer, or never came about."""


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
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
        host = (parts.hostname or "").encode("idna").decode("ascii")
    except (KeyError, ValueError):  # UnicodeError is one of those
        raise HttpFailed(f"{url}: not an http or https URL") from None
    if not host:
        raise HttpFailed(f"{url}: no host name")
    authority = f"[{host}]" if ":" in host else host
    if port != _PORTS[parts.scheme]:
        authority += f":{port}"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        sent = h11.Request(
            method=method,
            target=quote(target, safe=_IN_TARGETS),
            headers=[
                ("Host", authority),
                ("Content-Length", str(len(body))),
                ("Connection", "close"),
                *headers.items(),
            ],
        )
    except h11.LocalProtocolError as error:
        raise HttpFailed(f"{url}: {error}") from None
    try:
        with trio.fail_after(within):
            stream: trio.abc.Stream = await trio.open_tcp_stream(host, port)
            if parts.scheme == "https":
                stream = trio.SSLStream(
                    stream,
                    tls or ssl.create_default_context(),
                    server_hostname=host,
                    https_compatible=True,
                )
            async with stream:
                return await _exchange(stream, sent, body)
    except trio.TooSlowError:
        raise HttpFailed(f"no HTTP answer within {within:g} s") from None
    except trio.BrokenResourceError as error:
        raise ConnectionLost(f"{parts.netloc}: the connection broke: {_words(error)}") from error
    except OSError as error:
        raise ConnectionLost(f"{parts.netloc}: {_words(error)}") from error
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
                raise ConnectionLost("the server closed the connection without an answer")
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
        if isinstance(cause, ssl.SSLError):
            return f"no TLS there ({cause.reason or cause.strerror})"
        if isinstance(cause, socket.gaierror):
            return cause.strerror or "unknown host"
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno)
        grouped = cause.exceptions if isinstance(cause, BaseExceptionGroup) else (cause.__cause__,)
        cause = grouped[0]
    return str(error) or type(error).__name__
