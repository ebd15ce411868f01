"""What we tell a peer that did something wrong: ERROR and ABORT chunks (RFC 9260, 3.3.7, 3.3.10)."""

from __future__ import annotations

from typing import Final

from workers.transceiver.core.sctp.interface import CloseCause
from workers.wire.sctp import encode_chunk
from workers.wire.sctp_chunks import Abort, Cause, Error, Parameter, UnknownChunk

_CAUSES: Final = {
    CloseCause.PROTOCOL_VIOLATION: Cause.PROTOCOL_VIOLATION,
    CloseCause.MESSAGE_TOO_BIG: Cause.OUT_OF_RESOURCE,
}


def encode_abort(cause: CloseCause) -> bytes:
    """The end, and whose fault it is."""
    return encode_chunk(Abort(False, (Parameter(_CAUSES.get(cause, Cause.USER_ABORT), b""),)))


def encode_invalid_stream(stream: int) -> bytes:
    """Data came on a stream that we did not offer."""
    value = stream.to_bytes(2, "big") + b"\0\0"
    return encode_chunk(Error((Parameter(Cause.INVALID_STREAM, value),)))


def encode_unrecognized(chunk: UnknownChunk) -> bytes:
    """A chunk came that we do not know; its header tells which."""
    value = encode_chunk(chunk._replace(value=b""))
    return encode_chunk(Error((Parameter(Cause.UNRECOGNIZED_CHUNK, value),)))
