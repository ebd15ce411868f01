"""DTLS record headers."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.wire.dtls import ContentType, message_sequence, parse_dtls, split_datagrams
from workers.wire.types import DropReason, Malformed


def record(
    fragment: bytes, type_: int = 22, *, version: int = 0xFEFD, epoch: int = 0, sequence: int = 0
) -> bytes:
    header = struct.pack(
        ">BHH6sH", type_, version, epoch, sequence.to_bytes(6, "big"), len(fragment)
    )
    return header + fragment


def handshake(message_seq: int) -> bytes:
    return b"\x01\x00\x00\x04" + struct.pack(">H", message_seq) + bytes(10)


def test_records_are_found_one_behind_the_other() -> None:
    datagram = record(b"abc", 20) + record(b"defg", 22, epoch=1)
    first, second = parse_dtls(datagram)
    assert (first.type, first.epoch, first.start, first.end) == (
        ContentType.CHANGE_CIPHER_SPEC,
        0,
        0,
        16,
    )
    assert (second.type, second.epoch, second.start, second.end) == (
        ContentType.HANDSHAKE,
        1,
        16,
        33,
    )


def unified(
    fragment: bytes, *, long: bool = True, length: bool = True, epoch: int = 2, flags: int = 0
) -> bytes:
    """A record of DTLS 1.3."""
    first = 0x20 | long * 8 | length * 4 | epoch | flags
    counted = struct.pack(">H", len(fragment)) if length else b""
    return bytes((first,)) + bytes(2 if long else 1) + counted + fragment


def test_records_of_dtls_1_3_stand_beside_those_in_the_clear() -> None:
    parts = [record(handshake(0)), unified(b"abc", epoch=2), unified(b"de", long=False, epoch=3)]
    datagram = b"".join(parts) + unified(b"to the end", length=False, epoch=3)
    first, *rest = parse_dtls(datagram)
    assert first.type is ContentType.HANDSHAKE
    assert [r.type for r in rest] == [ContentType.CIPHERTEXT] * 3
    assert [r.epoch for r in rest] == [2, 3, 3]
    assert [datagram[r.end - 1 : r.end] for r in rest] == [b"c", b"e", b"d"]
    assert message_sequence(datagram, rest[0]) is None
    assert parse_dtls(record(b"ack", 26))[0].type is ContentType.ACK


def test_records_of_dtls_1_3_are_cut_too() -> None:
    records = [record(b"hello", 22), unified(bytes(300)), unified(bytes(300), epoch=3)]
    assert split_datagrams(b"".join(records), 400) == [b"".join(records[:2]), records[2]]


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\x2c",
        unified(b"abc")[:-1],
        unified(b""),
        unified(b"abc", flags=0x10),
        unified(b"", length=False),
        unified(b"abc") + b"\x2c\0",
        bytes(12),
        record(b"x", 19),
        record(b"x", 24),
        record(b"x", version=0x0303),
        record(b""),
        record(b"abc")[:-1],
        record(b"abc") + b"\x16",
    ],
)
def test_what_is_not_all_records_is_refused(datagram: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        parse_dtls(datagram)
    assert caught.value.reason is DropReason.MALFORMED_DTLS


@given(
    st.binary(max_size=100)
    | st.builds(
        bytes.__add__, st.sampled_from([b"\x16\xfe\xfd", b"\x2c", b"\x20"]), st.binary(max_size=60)
    )
)
def test_any_bytes_give_records_or_malformed(data: bytes) -> None:
    try:
        records = parse_dtls(data)
    except Malformed:
        return
    assert records[-1].end == len(data)
    for found in records:
        message_sequence(data, found)


def test_the_sequence_of_a_message_is_read_where_it_is_in_the_clear() -> None:
    def read(datagram: bytes) -> int | None:
        return message_sequence(datagram, parse_dtls(datagram)[0])

    assert read(record(handshake(258))) == 258
    assert read(record(handshake(258), epoch=1)) is None
    assert read(record(handshake(258), 23)) is None
    assert read(record(b"\x01")) is None


@given(st.lists(st.binary(min_size=1, max_size=400), max_size=12))
def test_glued_records_are_cut_and_none_is_lost(fragments: list[bytes]) -> None:
    records = [record(fragment) for fragment in fragments]
    datagrams = split_datagrams(b"".join(records), 500)
    assert b"".join(datagrams) == b"".join(records)
    assert all(len(datagram) <= 500 for datagram in datagrams)
    assert sum(len(parse_dtls(datagram)) for datagram in datagrams) == len(records)


def test_a_record_that_is_too_long_goes_alone() -> None:
    long = record(bytes(600))
    assert split_datagrams(record(b"a") + long + record(b"b"), 500) == [
        record(b"a"),
        long,
        record(b"b"),
    ]
