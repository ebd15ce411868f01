"""STUN Binding messages as ICE uses them (RFC 8489; RFC 8445, 7), on top of aioice's codec.

aioice's parser raises `struct.error` beside ValueError, does not look at the magic cookie and drops
attributes it does not know; this file turns that into one `parse_` function with one exception.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from hmac import digest
from typing import Any, Final, NamedTuple
from zlib import crc32

from workers.transceiver.core.stun_codec import stun
from workers.wire import sped
from workers.wire.types import DropReason, Malformed

TRANSACTION_LENGTH: Final = 12
UNKNOWN_ATTRIBUTE: Final = 420
ROLE_CONFLICT: Final = 487
FINGERPRINT_MASK: Final = 0x5354554E

_COOKIE: Final = struct.pack(">I", stun.COOKIE)
_TLV: Final = struct.Struct(">HH")
_MESSAGE_INTEGRITY: Final = 0x0008
_MESSAGE_INTEGRITY_SHA256: Final = 0x001C
_UNKNOWN_ATTRIBUTES: Final = 0x000A
_SIGNATURE: Final = _TLV.pack(_MESSAGE_INTEGRITY, 20)
_CHECKSUM: Final = _TLV.pack(0x8028, 4)
"""FINGERPRINT."""
_SIGNED: Final = 24
_SEALED: Final = 32
"""Bytes of MESSAGE-INTEGRITY, and of FINGERPRINT behind it."""
_FIRST_OPTIONAL: Final = 0x8000
_MAX_UNKNOWN: Final = 8
_REASONS: Final = {UNKNOWN_ATTRIBUTE: "Unknown Attribute", ROLE_CONFLICT: "Role Conflict"}

DTLS_DATA: Final = "DTLS-IN-STUN"
DTLS_ACKS: Final = "DTLS-IN-STUN-ACK"
"""Names of the attributes of SPED; their values are bytes."""

# aioice reads and builds only what is in its tables, and reads nothing behind MESSAGE-INTEGRITY.
for _type, _name in (
    (_UNKNOWN_ATTRIBUTES, "UNKNOWN-ATTRIBUTES"),
    (sped.DTLS_IN_STUN, DTLS_DATA),
    (sped.DTLS_ACKS, DTLS_ACKS),
):
    _entry = (_type, _name, stun.pack_bytes, stun.unpack_bytes)
    stun.ATTRIBUTES_BY_TYPE[_type] = stun.ATTRIBUTES_BY_NAME[_name] = _entry


class Binding(NamedTuple):
    """One parsed Binding message; nothing in it is to be believed before `signed_with`."""

    kind: stun.Class
    transaction: bytes
    attributes: Mapping[str, Any]
    unknown: tuple[int, ...]
    """Types of comprehension-required attributes that we do not understand."""
    message: stun.Message

    def signed_with(self, key: bytes) -> bool:
        """True if MESSAGE-INTEGRITY is there and right under this password."""
        return self.message.check_message_integrity(key)


def parse_binding(datagram: bytes) -> Binding:
    """Read a Binding message whose FINGERPRINT, if any, is right. Raises Malformed.

    MALFORMED_STUN, or UNSUPPORTED for another method. A request must have a FINGERPRINT
    (RFC 8445, 7.1.1 and 7.2.2).
    """
    if datagram[4:8] != _COOKIE or len(datagram) % 4:
        raise Malformed(DropReason.MALFORMED_STUN, "cookie or length")
    try:
        message = stun.parse_message(datagram)
    except (ValueError, struct.error) as error:
        raise Malformed(DropReason.MALFORMED_STUN, str(error)) from None
    if message.message_method != stun.Method.BINDING:
        raise Malformed(DropReason.UNSUPPORTED, message.message_method.name)
    if message.message_class == stun.Class.REQUEST and "FINGERPRINT" not in message.attributes:
        raise Malformed(DropReason.MALFORMED_STUN, "no FINGERPRINT")
    return Binding(
        message.message_class,
        message.transaction_id,
        message.attributes,
        _unknown_attributes(datagram),
        message,
    )


def _unknown_attributes(datagram: bytes) -> tuple[int, ...]:
    unknown: list[int] = []
    offset, end = stun.HEADER_LENGTH, len(datagram)
    while offset + 4 <= end and len(unknown) < _MAX_UNKNOWN:
        type_, length = _TLV.unpack_from(datagram, offset)
        if type_ == _MESSAGE_INTEGRITY:
            break
        if (
            type_ < _FIRST_OPTIONAL
            and type_ != _MESSAGE_INTEGRITY_SHA256
            and type_ not in stun.ATTRIBUTES_BY_TYPE
        ):
            unknown.append(type_)
        offset += 4 + length + stun.padding_length(length)
    return tuple(unknown)


def encode_request(transaction: bytes, attributes: dict[str, Any], key: bytes) -> bytes:
    """A signed Binding request."""
    return _encode(stun.Class.REQUEST, transaction, attributes, key)


def encode_success(
    transaction: bytes,
    address: tuple[str, int],
    key: bytes,
    carried: Mapping[str, bytes] | None = None,
) -> bytes:
    """A signed success response that tells the peer its address, with other attributes if there are."""
    attributes = {"XOR-MAPPED-ADDRESS": address, **(carried or {})}
    return _encode(stun.Class.RESPONSE, transaction, attributes, key)


def encode_error(transaction: bytes, code: int, key: bytes, unknown: tuple[int, ...] = ()) -> bytes:
    """A signed error response; `unknown` are the attribute types that a 420 names."""
    attributes: dict[str, Any] = {"ERROR-CODE": (code, _REASONS[code])}
    if unknown:
        attributes["UNKNOWN-ATTRIBUTES"] = struct.pack(f">{len(unknown)}H", *unknown)
    return _encode(stun.Class.ERROR, transaction, attributes, key)


def seal(unsigned: bytes, key: bytes) -> bytes:
    """Add MESSAGE-INTEGRITY and FINGERPRINT (RFC 8489, 14.5 and 14.7), and put the length right."""
    kind, rest = unsigned[:2], unsigned[4:]
    length = len(unsigned) - stun.HEADER_LENGTH
    signed = kind + (length + _SIGNED).to_bytes(2, "big") + rest
    checked = (
        kind
        + (length + _SEALED).to_bytes(2, "big")
        + rest
        + _SIGNATURE
        + digest(key, signed, "sha1")
    )
    return checked + _CHECKSUM + (crc32(checked) ^ FINGERPRINT_MASK).to_bytes(4, "big")


def _encode(kind: stun.Class, transaction: bytes, attributes: dict[str, Any], key: bytes) -> bytes:
    # aioice's own signing packs every attribute three times; this packs them once.
    return seal(bytes(stun.Message(stun.Method.BINDING, kind, transaction, attributes)), key)
