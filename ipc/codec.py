"""A message to its bytes and back: msgpack, one closed union, one size cap.

The wire form is a msgpack map with the field names as keys and the class name under `type`; named
tuples (Endpoint, Route) are arrays. Unknown fields are skipped, because fields are only ever added, and
words that may become more stand for the nearest that is known; an unknown `type` is an error.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ipc.messages import Message

MAX_MESSAGE: Final = 1 << 20
"""Bytes of one encoded message, both ways."""
_AT_TYPE: Final = "at `$.type`"


class CodecError(Exception):
    """The bytes are no message, or the message does not fit; the text names the place, e.g. `$.serial`."""


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final[msgspec.msgpack.Decoder[Message]] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """Bytes of a message. Raises CodecError if they exceed MAX_MESSAGE or a value has no wire form."""
    try:
        data = _encoder.encode(message)
    except (TypeError, OverflowError, UnicodeEncodeError, msgspec.MsgspecError) as error:
        raise CodecError(f"{type(message).__name__}: {error}") from error
    if len(data) > MAX_MESSAGE:
        raise CodecError(
            f"{type(message).__name__}: {len(data)} bytes encoded, at most {MAX_MESSAGE} are allowed"
        )
    return data


def decode(data: bytes | bytearray | memoryview) -> Message:
    """The message in `data`. Raises CodecError on anything else than exactly one valid message."""
    size = len(data)
    if size > MAX_MESSAGE:
        raise CodecError(f"{size} bytes, at most {MAX_MESSAGE} are allowed")
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        text = str(error)
        if text.endswith(_AT_TYPE):
            text += "; maybe it is of another version"
        raise CodecError(text) from error
    except RecursionError:
        raise CodecError("nested too deeply") from None
