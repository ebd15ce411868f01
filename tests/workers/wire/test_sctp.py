"""SCTP packets: what is written is read again, and nothing else is ever anything but Malformed."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.wire.sctp import (
    crc32c,
    encode_chunk,
    encode_packet,
    encode_parameters,
    parse_init,
    parse_packet,
    parse_parameters,
)
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
    ReConfig,
    ResetResponse,
    Sack,
    Shutdown,
    ShutdownAck,
    ShutdownComplete,
    UnknownChunk,
)
from workers.wire.types import DropReason, Malformed

u8, u16, u32 = (st.integers(0, (1 << bits) - 1) for bits in (8, 16, 32))
flag = st.booleans()
short = st.binary(max_size=40)
parameters = st.lists(st.builds(Parameter, u16, short), max_size=4).map(tuple)
pairs = st.lists(st.tuples(u16, u16), max_size=6).map(tuple)
resets = st.one_of(
    st.builds(OutgoingReset, u32, u32, u32, st.lists(u16, max_size=5).map(tuple)),
    st.builds(ResetResponse, u32, u32),
    st.builds(OtherRequest, st.sampled_from([14, 15, 17, 18]), u32),
)
chunks: st.SearchStrategy[Chunk] = st.one_of(
    st.builds(Data, u32, u16, u16, u32, short, flag, flag, flag, flag),
    st.builds(Init, flag, u32, u32, u16, u16, u32, parameters),
    st.builds(Sack, u32, u32, pairs, st.lists(u32, max_size=5).map(tuple)),
    st.builds(Heartbeat, flag, short),
    st.builds(Abort, flag, parameters),
    st.builds(Error, parameters),
    st.builds(Shutdown, u32),
    st.just(ShutdownAck()),
    st.builds(ShutdownComplete, flag),
    st.builds(CookieEcho, short),
    st.just(CookieAck()),
    st.builds(ForwardTsn, u32, pairs),
    st.builds(ReConfig, st.lists(resets, min_size=1, max_size=2).map(tuple)),
    st.builds(UnknownChunk, u8.filter(lambda t: t not in set(ChunkType)), short),
)


def packet(*encoded: bytes) -> bytes:
    return encode_packet(5000, 5001, 7, encoded)


@given(st.lists(chunks, min_size=1, max_size=6), u16, u16, u32)
def test_what_is_written_is_read(
    sent: list[Chunk], source: int, destination: int, tag: int
) -> None:
    datagram = encode_packet(source, destination, tag, map(encode_chunk, sent))
    assert len(datagram) % 4 == 0
    assert parse_packet(datagram) == (source, destination, tag, sent)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_packet_or_malformed(junk: bytes) -> None:
    for datagram in (junk, packet(junk)):
        try:
            parse_packet(datagram)
        except Malformed as error:
            assert error.reason is DropReason.MALFORMED_SCTP


@given(chunks, st.data())
def test_a_damaged_length_is_no_trap(chunk: Chunk, data: Any) -> None:
    encoded = bytearray(encode_chunk(chunk))
    for _ in range(data.draw(st.integers(1, 3))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(u8)
    try:
        parse_packet(packet(bytes(encoded)))
    except Malformed as error:
        assert error.reason is DropReason.MALFORMED_SCTP


@given(st.binary(max_size=100))
def test_parameters_and_a_lone_init_are_total(junk: bytes) -> None:
    for parse in (parse_parameters, parse_init):
        try:
            parse(junk)
        except Malformed as error:
            assert error.reason is DropReason.MALFORMED_SCTP


def test_a_bit_flipped_anywhere_is_noticed() -> None:
    whole = packet(encode_chunk(Data(1, 2, 3, 51, b"hello")))
    for bit in range(len(whole) * 8):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Malformed):
            parse_packet(bytes(damaged))


def test_the_checksum_is_castagnoli() -> None:
    assert crc32c(b"123456789") == 0xE3069283


@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_a_parameter_of_no_length_ends_the_parse(length: int) -> None:
    """Such an INIT makes a naive loop stand still for ever."""
    init = encode_chunk(Init(False, 1, 5000, 1, 1, 1, (Parameter(0x8008, b"\xc0"),)))
    bad = init[:20] + struct.pack(">HH", 0x8008, length)
    bad = bad[:2] + struct.pack(">H", len(bad)) + bad[4:]
    with pytest.raises(Malformed, match=f"parameter of {length}"):
        parse_packet(packet(bad))


@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_so_does_a_chunk_of_no_length(length: int) -> None:
    with pytest.raises(Malformed, match=f"chunk of {length}"):
        parse_packet(packet(struct.pack(">BBH", 3, 0, length)))


def test_odd_lengths_are_padded_but_not_counted() -> None:
    encoded = encode_parameters([Parameter(1, b"abc"), Parameter(2, b"de")])
    assert encoded == b"\0\1\0\7abc\0\0\2\0\6de"
    assert parse_parameters(encoded) == (Parameter(1, b"abc"), Parameter(2, b"de"))
    assert parse_parameters(encoded + b"\0\0") == (Parameter(1, b"abc"), Parameter(2, b"de"))


def test_a_lone_init_is_read() -> None:
    init = Init(False, 1, 5000, 1, 1, 1, (Parameter(0x8008, b"\xc0"),))
    assert parse_init(encode_chunk(init)) == init
    with pytest.raises(Malformed):
        parse_init(encode_chunk(init._replace(ack=True)))


@pytest.mark.parametrize(
    "chunk",
    [
        b"\0\3\0\x0f" + bytes(11),
        b"\1\0\0\x10" + bytes(12),
        struct.pack(">BBHIIHH", 3, 0, 16, 1, 1, 1, 0),
        struct.pack(">BBHIIHH", 3, 0, 16, 1, 1, 0, 0xFFFF),
        struct.pack(">BBHIH", 192, 0, 10, 1, 1),
        struct.pack(">BBH", 130, 0, 4),
        struct.pack(">BBHHH", 130, 0, 8, 13, 4),
        struct.pack(">BBHHHI", 130, 0, 12, 16, 8, 1),
        struct.pack(">BBH", 7, 0, 4),
    ],
)
def test_truncated_chunks_are_malformed(chunk: bytes) -> None:
    with pytest.raises(Malformed):
        parse_packet(packet(chunk))
