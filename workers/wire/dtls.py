"""DTLS record headers: enough to refuse junk, to tell a repeated flight and to cut what a memory BIO has
glued together. The records themselves are OpenSSL's business.

    type u8 | version u16 | epoch u16 | sequence u48 | length u16 | fragment[length]       13 in front
    0 0 1 C S L E E | connection id, if C | sequence u8 or, if S, u16 | length u16, if L | fragment

The first is that of DTLS 1.2 (RFC 6347, 4.1) and of what DTLS 1.3 sends in the clear; the second that of
DTLS 1.3 for all else (RFC 9147, 4). We agree to no connection ids.

A cleartext handshake fragment begins with `type u8 | length u24 | message_seq u16`.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple

from workers.wire.types import DropReason, Malformed

HEADER: Final = struct.Struct(">BHH6sH")
HEADER_LENGTH: Final = HEADER.size
HANDSHAKE_HEADER_LENGTH: Final = 12
# DTLS 1.0 is in the header of every first ClientHello; no handshake of ours settles on it.
_VERSIONS: Final = frozenset({0xFEFF, 0xFEFD})


class ContentType(IntEnum):
    """What a record carries."""

    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22
    APPLICATION_DATA = 23
    ACK = 26
    CIPHERTEXT = 32
    """Under the header of DTLS 1.3, where only the receiver can tell."""


_TYPES: Final = {int(t): t for t in ContentType if t is not ContentType.CIPHERTEXT}
_UNIFIED, _UNIFIED_MASK = 0x20, 0xE0
_CONNECTION_ID, _LONG_SEQUENCE, _HAS_LENGTH, _EPOCH = 0x10, 0x08, 0x04, 0x03


class DtlsRecord(NamedTuple):
    """Where one record lies in its datagram."""

    type: ContentType
    epoch: int
    start: int
    """Index of the header."""
    end: int


def parse_dtls(datagram: bytes) -> list[DtlsRecord]:
    """All records of a datagram (or of glued datagrams), at least one.

    Raises Malformed(MALFORMED_DTLS) unless every one is whole and of a known type and version.
    """
    records: list[DtlsRecord] = []
    offset, end = 0, len(datagram)
    while offset < end or not records:
        if offset < end and datagram[offset] & _UNIFIED_MASK == _UNIFIED:
            records.append(_ciphertext(datagram, offset))
            offset = records[-1].end
            continue
        if end - offset < HEADER_LENGTH:
            raise Malformed(DropReason.MALFORMED_DTLS, "short header")
        type_, version, epoch, _sequence, length = HEADER.unpack_from(datagram, offset)
        known = _TYPES.get(type_)
        if known is None:
            raise Malformed(DropReason.MALFORMED_DTLS, f"content type {type_}")
        if version not in _VERSIONS:
            raise Malformed(DropReason.MALFORMED_DTLS, f"version {version:#06x}")
        start, offset = offset, offset + HEADER_LENGTH + length
        if length == 0 or offset > end:
            raise Malformed(DropReason.MALFORMED_DTLS, f"record of {length}")
        records.append(DtlsRecord(known, epoch, start, offset))
    return records


def _ciphertext(datagram: bytes, start: int) -> DtlsRecord:
    """A record of DTLS 1.3. Without a length it goes on to the end of the datagram."""
    flags, end = datagram[start], len(datagram)
    if flags & _CONNECTION_ID:
        raise Malformed(DropReason.MALFORMED_DTLS, "connection id")
    body = start + (3 if flags & _LONG_SEQUENCE else 2)
    if flags & _HAS_LENGTH:
        length = int.from_bytes(datagram[body : body + 2], "big")
        body += 2
        end = body + length
    if not body < end <= len(datagram):
        raise Malformed(DropReason.MALFORMED_DTLS, f"record of {end - body}")
    return DtlsRecord(ContentType.CIPHERTEXT, flags & _EPOCH, start, end)


def message_sequence(datagram: bytes, record: DtlsRecord) -> int | None:
    """`message_seq` of the first handshake message of a cleartext record; None for any other."""
    body = record.start + HEADER_LENGTH
    if (
        record.type is not ContentType.HANDSHAKE
        or record.epoch
        or record.end - body < HANDSHAKE_HEADER_LENGTH
    ):
        return None
    return int.from_bytes(datagram[body + 4 : body + 6], "big")


def split_datagrams(glued: bytes, mtu: int) -> list[bytes]:
    """Cut records that were written one behind the other into datagrams of at most `mtu` bytes.

    A single longer record makes a datagram of its own. Raises Malformed on anything but records.
    """
    datagrams: list[bytes] = []
    if not glued:
        return datagrams
    begin = 0
    for record in parse_dtls(glued):
        if record.end - begin > mtu and record.start > begin:
            datagrams.append(glued[begin : record.start])
            begin = record.start
    datagrams.append(glued[begin:])
    return datagrams
