"""ERROR and ABORT."""

from __future__ import annotations

from workers.transceiver.core.sctp.complaint import (
    encode_abort,
    encode_invalid_stream,
    encode_unrecognized,
)
from workers.transceiver.core.sctp.interface import CloseCause
from workers.wire.sctp import encode_packet, parse_packet
from workers.wire.sctp_chunks import Abort, Cause, Error, Parameter, UnknownChunk


def test_they_can_be_read() -> None:
    chunks = [
        encode_abort(CloseCause.PROTOCOL_VIOLATION),
        encode_abort(CloseCause.ABORTED),
        encode_invalid_stream(7),
        encode_unrecognized(UnknownChunk(0xC1, b"secret")),
    ]
    assert parse_packet(encode_packet(1, 2, 3, chunks)).chunks == [
        Abort(False, (Parameter(Cause.PROTOCOL_VIOLATION, b""),)),
        Abort(False, (Parameter(Cause.USER_ABORT, b""),)),
        Error((Parameter(Cause.INVALID_STREAM, b"\0\7\0\0"),)),
        Error((Parameter(Cause.UNRECOGNIZED_CHUNK, b"\xc1\0\0\4"),)),
    ]
