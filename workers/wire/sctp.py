"""SCTP packets, read and written (RFC 9260, 3). The only file that knows CRC32c.

    source port u16 | destination port u16 | verification tag u32 | checksum u32      12 in front
    chunk: type u8 | flags u8 | length u16 | value, padded to a multiple of 4         one or more

Lengths count the header in front of the value and not the padding behind it, so none may be below
four; every loop here moves on by at least that much.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, assert_never

import google_crc32c

from workers.wire.sctp_chunks import (
    Abort,
    Chunk,
    ChunkType,
    CookieAck,
    CookieEcho,
    Data,
    Error,
    ForwardTsn,
    Heartbeat,
    Init,
    OtherRequest,
    OutgoingReset,
    Parameter,
    ParameterType,
    ReConfig,
    ResetParameter,
    ResetResponse,
    Sack,
    Shutdown,
    ShutdownAck,
    ShutdownComplete,
    UnknownChunk,
)
from workers.wire.types import DropReason, Malformed

HEADER_LENGTH: Final = 12
CHUNK_HEADER_LENGTH: Final = 4
DATA_HEADER_LENGTH: Final = 16
MAX_PACKET: Final = 65_535

_PORTS_TAG: Final = struct.Struct(">HHI")
_CHECKSUM: Final = struct.Struct("<I")  # RFC 9260, Appendix A: the one little-endian field
_CHUNK: Final = struct.Struct(">BBH")
_PARAMETER: Final = struct.Struct(">HH")
_DATA: Final = struct.Struct(">BBHIHHI")
_INIT: Final = struct.Struct(">IIHHI")
_SACK: Final = struct.Struct(">IIHH")
_PAIR: Final = struct.Struct(">HH")
_WORD: Final = struct.Struct(">I")
_OUTGOING_RESET: Final = struct.Struct(">III")
_RESPONSE: Final = struct.Struct(">II")
_ZERO_CHECKSUM: Final = bytes(4)
_PADDING: Final = (b"", b"\0\0\0", b"\0\0", b"\0")

_END, _BEGIN, _UNORDERED, _IMMEDIATE = 1, 2, 4, 8
_REFLECTED: Final = 1
_UNKNOWN_KEPT: Final = 64


class Packet(NamedTuple):
    """One datagram's worth of chunks."""

    source: int
    destination: int
    tag: int
    chunks: list[Chunk]


def crc32c(data: bytes) -> int:
    """The checksum of RFC 9260, Appendix A."""
    return int(google_crc32c.value(data))


# --- reading --------------------------------------------------------------------------------------


def parse_packet(datagram: bytes) -> Packet:
    """Read one packet and check its checksum. Raises Malformed(MALFORMED_SCTP)."""
    end = len(datagram)
    if not HEADER_LENGTH + CHUNK_HEADER_LENGTH <= end <= MAX_PACKET:
        raise _malformed(f"packet of {end}")
    (checksum,) = _CHECKSUM.unpack_from(datagram, 8)
    if crc32c(datagram[:8] + _ZERO_CHECKSUM + datagram[12:]) != checksum:
        raise _malformed("checksum")
    source, destination, tag = _PORTS_TAG.unpack_from(datagram)
    chunks: list[Chunk] = []
    offset = HEADER_LENGTH
    while offset < end:
        if end - offset < CHUNK_HEADER_LENGTH:
            raise _malformed("truncated chunk header")
        type_, flags, length = _CHUNK.unpack_from(datagram, offset)
        if length < CHUNK_HEADER_LENGTH or offset + length > end:
            raise _malformed(f"chunk of {length}")
        if type_ == ChunkType.DATA:
            chunks.append(_parse_data(flags, datagram, offset, length))
        else:
            chunks.append(_parse_chunk(type_, flags, datagram[offset + 4 : offset + length]))
        offset += length + 3 & ~3
    return Packet(source, destination, tag, chunks)


def _malformed(detail: str) -> Malformed:
    return Malformed(DropReason.MALFORMED_SCTP, detail)


def _parse_data(flags: int, datagram: bytes, offset: int, length: int) -> Data:
    if length < DATA_HEADER_LENGTH:
        raise _malformed(f"DATA of {length}")
    _, _, _, tsn, stream, sequence, protocol = _DATA.unpack_from(datagram, offset)
    return Data(
        tsn,
        stream,
        sequence,
        protocol,
        datagram[offset + DATA_HEADER_LENGTH : offset + length],
        flags & _BEGIN != 0,
        flags & _END != 0,
        flags & _UNORDERED != 0,
        flags & _IMMEDIATE != 0,
    )


def _parse_chunk(type_: int, flags: int, value: bytes) -> Chunk:
    reader = _READERS.get(type_)
    if reader is None:
        return UnknownChunk(type_, value[:_UNKNOWN_KEPT])
    least, read = reader
    if len(value) < least:
        raise _malformed(f"chunk {ChunkType(type_).name} of {len(value) + 4}")
    return read(flags, value)


def parse_parameters(value: bytes, offset: int = 0) -> tuple[Parameter, ...]:
    """Read parameters or error causes, to the end. Raises Malformed(MALFORMED_SCTP)."""
    parameters: list[Parameter] = []
    end = len(value)
    while offset < end:
        if end - offset < CHUNK_HEADER_LENGTH:
            raise _malformed("truncated parameter header")
        type_, length = _PARAMETER.unpack_from(value, offset)
        if length < CHUNK_HEADER_LENGTH or offset + length > end:
            raise _malformed(f"parameter of {length}")
        parameters.append(Parameter(type_, value[offset + 4 : offset + length]))
        offset += length + 3 & ~3
    return tuple(parameters)


def _parse_init(value: bytes, *, ack: bool) -> Init:
    tag, a_rwnd, outbound, inbound, tsn = _INIT.unpack_from(value)
    return Init(ack, tag, a_rwnd, outbound, inbound, tsn, parse_parameters(value, _INIT.size))


def parse_init(chunk: bytes) -> Init:
    """Read an INIT chunk that travels by itself, header included. Raises Malformed."""
    if len(chunk) < CHUNK_HEADER_LENGTH + _INIT.size:
        raise _malformed(f"INIT of {len(chunk)}")
    type_, _, length = _CHUNK.unpack_from(chunk)
    if type_ != ChunkType.INIT or length < CHUNK_HEADER_LENGTH + _INIT.size or length > len(chunk):
        raise _malformed("not an INIT")
    return _parse_init(chunk[4:length], ack=False)


def chunk_length(chunk: bytes) -> int:
    """What the header of a chunk says, at least four bytes of it there: without the padding."""
    length: int = _CHUNK.unpack_from(chunk)[2]
    return length


def _parse_sack(_flags: int, value: bytes) -> Sack:
    cumulative, a_rwnd, gaps, duplicates = _SACK.unpack_from(value)
    after_gaps = _SACK.size + gaps * 4
    end = after_gaps + duplicates * 4
    if len(value) < end:
        raise _malformed("truncated SACK")
    return Sack(
        cumulative,
        a_rwnd,
        tuple(_PAIR.iter_unpack(value[_SACK.size : after_gaps])) if gaps else (),
        struct.unpack_from(f">{duplicates}I", value, after_gaps) if duplicates else (),
    )


def _parse_heartbeat(value: bytes, *, ack: bool) -> Heartbeat:
    return Heartbeat(ack, value)


def _parse_forward_tsn(_flags: int, value: bytes) -> ForwardTsn:
    if len(value) % 4:
        raise _malformed("FORWARD-TSN with half a stream")
    return ForwardTsn(_WORD.unpack_from(value)[0], tuple(_PAIR.iter_unpack(value[4:])))


def _parse_reconfig(_flags: int, value: bytes) -> ReConfig:
    parameters = parse_parameters(value)
    if len(parameters) not in (1, 2):
        raise _malformed(f"RE-CONFIG with {len(parameters)} parameters")
    return ReConfig(tuple(map(_parse_reset, parameters)))


def _parse_reset(parameter: Parameter) -> ResetParameter:
    type_, value = parameter
    if type_ == ParameterType.OUTGOING_RESET and len(value) >= 12 and len(value) % 2 == 0:
        streams = struct.unpack_from(f">{(len(value) - 12) // 2}H", value, 12)
        request, response, last_tsn = _OUTGOING_RESET.unpack_from(value)
        return OutgoingReset(request, response, last_tsn, streams)
    if type_ == ParameterType.RECONFIG_RESPONSE and len(value) >= 8:
        return ResetResponse(*_RESPONSE.unpack_from(value))
    if type_ not in (ParameterType.OUTGOING_RESET, ParameterType.RECONFIG_RESPONSE) and (
        len(value) >= 4
    ):
        return OtherRequest(type_, _WORD.unpack_from(value)[0])
    raise _malformed(f"RE-CONFIG parameter {type_} of {len(value) + 4}")


_READERS: Final[dict[int, tuple[int, Callable[[int, bytes], Chunk]]]] = {
    ChunkType.INIT: (_INIT.size, lambda _, value: _parse_init(value, ack=False)),
    ChunkType.INIT_ACK: (_INIT.size, lambda _, value: _parse_init(value, ack=True)),
    ChunkType.SACK: (_SACK.size, _parse_sack),
    ChunkType.HEARTBEAT: (0, lambda _, value: _parse_heartbeat(value, ack=False)),
    ChunkType.HEARTBEAT_ACK: (0, lambda _, value: _parse_heartbeat(value, ack=True)),
    ChunkType.ABORT: (0, lambda f, value: Abort(f & _REFLECTED != 0, parse_parameters(value))),
    ChunkType.SHUTDOWN: (4, lambda _, value: Shutdown(_WORD.unpack_from(value)[0])),
    ChunkType.SHUTDOWN_ACK: (0, lambda _f, _v: ShutdownAck()),
    ChunkType.ERROR: (0, lambda _, value: Error(parse_parameters(value))),
    ChunkType.COOKIE_ECHO: (0, lambda _, value: CookieEcho(value)),
    ChunkType.COOKIE_ACK: (0, lambda _f, _v: CookieAck()),
    ChunkType.SHUTDOWN_COMPLETE: (0, lambda f, _v: ShutdownComplete(f & _REFLECTED != 0)),
    ChunkType.RE_CONFIG: (4, _parse_reconfig),
    ChunkType.FORWARD_TSN: (4, _parse_forward_tsn),
}


# --- writing --------------------------------------------------------------------------------------


def encode_packet(source: int, destination: int, tag: int, chunks: Iterable[bytes]) -> bytes:
    """Write one packet of encoded chunks."""
    head, body = _PORTS_TAG.pack(source, destination, tag), b"".join(chunks)
    return head + _CHECKSUM.pack(crc32c(head + _ZERO_CHECKSUM + body)) + body


def encode_data(data: Data) -> bytes:
    """Write one DATA chunk, padded."""
    tsn, stream, sequence, protocol, payload, begin, end, unordered, immediate = data
    flags = begin * _BEGIN | end * _END | unordered * _UNORDERED | immediate * _IMMEDIATE
    length = DATA_HEADER_LENGTH + len(payload)
    return (
        _DATA.pack(ChunkType.DATA, flags, length, tsn, stream, sequence, protocol)
        + payload
        + _PADDING[length & 3]
    )


def encode_chunk(chunk: Chunk) -> bytes:
    """Write one chunk, padded."""
    match chunk:
        case Data():
            return encode_data(chunk)
        case Init():
            type_ = ChunkType.INIT_ACK if chunk.ack else ChunkType.INIT
            value = _INIT.pack(*chunk[1:-1]) + encode_parameters(chunk.parameters)
            return _chunk(type_, 0, value)
        case Sack(cumulative, a_rwnd, gaps, duplicates):
            value = _SACK.pack(cumulative, a_rwnd, len(gaps), len(duplicates))
            value += b"".join(_PAIR.pack(*gap) for gap in gaps)
            return _chunk(ChunkType.SACK, 0, value + _words(duplicates))
        case Heartbeat(ack, info):
            return _chunk(ChunkType.HEARTBEAT_ACK if ack else ChunkType.HEARTBEAT, 0, info)
        case Abort(reflected, causes):
            return _chunk(ChunkType.ABORT, int(reflected), encode_parameters(causes))
        case Error(causes):
            return _chunk(ChunkType.ERROR, 0, encode_parameters(causes))
        case Shutdown(cumulative):
            return _chunk(ChunkType.SHUTDOWN, 0, _WORD.pack(cumulative))
        case ShutdownAck():
            return _chunk(ChunkType.SHUTDOWN_ACK, 0, b"")
        case ShutdownComplete(reflected):
            return _chunk(ChunkType.SHUTDOWN_COMPLETE, int(reflected), b"")
        case CookieEcho(cookie):
            return _chunk(ChunkType.COOKIE_ECHO, 0, cookie)
        case CookieAck():
            return _chunk(ChunkType.COOKIE_ACK, 0, b"")
        case ForwardTsn(cumulative, streams):
            value = _WORD.pack(cumulative) + b"".join(_PAIR.pack(*pair) for pair in streams)
            return _chunk(ChunkType.FORWARD_TSN, 0, value)
        case ReConfig(parameters):
            value = encode_parameters(map(_reset_parameter, parameters))
            return _chunk(ChunkType.RE_CONFIG, 0, value)
        case UnknownChunk(type_, value):
            return _chunk(type_, 0, value)
        case _ as never:
            assert_never(never)


def encode_parameters(parameters: Iterable[Parameter]) -> bytes:
    """Write parameters or error causes, each padded but the last (RFC 9260, 3.2)."""
    encoded = b""
    for type_, value in parameters:
        length = CHUNK_HEADER_LENGTH + len(value)
        encoded += _PADDING[len(encoded) & 3] + _PARAMETER.pack(type_, length) + value
    return encoded


def _chunk(type_: int, flags: int, value: bytes) -> bytes:
    length = CHUNK_HEADER_LENGTH + len(value)
    return _CHUNK.pack(type_, flags, length) + value + _PADDING[length & 3]


def _words(numbers: tuple[int, ...]) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)


def _reset_parameter(parameter: ResetParameter) -> Parameter:
    match parameter:
        case OutgoingReset(request, response, last_tsn, streams):
            value = _OUTGOING_RESET.pack(request, response, last_tsn)
            value += struct.pack(f">{len(streams)}H", *streams)
            return Parameter(ParameterType.OUTGOING_RESET, value)
        case ResetResponse(request, result):
            return Parameter(ParameterType.RECONFIG_RESPONSE, _RESPONSE.pack(request, result))
        case OtherRequest(type_, request):
            return Parameter(type_, _WORD.pack(request))
        case _ as never:
            assert_never(never)
