"""STUN messages by hand, as the first bytes of a client are."""

from __future__ import annotations

import struct
from typing import Final

USERNAME: Final = 0x0006
_COOKIE: Final = 0x2112A442


def attribute(type_: int, value: bytes) -> bytes:
    """Type, length, value, and padding."""
    return struct.pack(">HH", type_, len(value)) + value + bytes(-len(value) % 4)


def message(type_: int, *attributes: bytes) -> bytes:
    """Of that type; nothing in it is signed."""
    body = b"".join(attributes)
    return struct.pack(">HHI12s", type_, len(body), _COOKIE, b"transaction!") + body


def check(ufrag: str) -> bytes:
    """A Binding request for the session of that ufrag."""
    return message(0x0001, attribute(USERNAME, f"{ufrag}:theirs".encode()))
