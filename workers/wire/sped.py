"""SPED: DTLS datagrams inside ICE checks (draft-hancke-webrtc-sped-00).

Two attributes of Binding requests and responses, in front of MESSAGE-INTEGRITY:

    0xC070   one DTLS datagram of the handshake, or nothing
    0xC071   CRC-32 of DTLS datagrams that came, u32 each, the newest last, at most four

An SDP says by an ICE option that its end speaks this; the answer repeats what it understood.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import Final

from workers.wire.types import DropReason, Malformed

DTLS_IN_STUN: Final = 0xC070
DTLS_ACKS: Final = 0xC071
MAX_ACKS: Final = 4
ICE_OPTIONS: Final = ("sped", "googspedv1", "goog-sped-v1")
"""The draft's, libwebrtc's since M155, and that of M149 to M154. All mean the same two attributes."""


def datagram_id(datagram: bytes) -> int:
    """What an acknowledgement calls this datagram."""
    return zlib.crc32(datagram)


def encode_acks(ids: Iterable[int]) -> bytes:
    """The value of DTLS_ACKS."""
    return b"".join(one.to_bytes(4, "big") for one in ids)


def parse_acks(value: bytes) -> tuple[int, ...]:
    """The ids in a value of DTLS_ACKS. Raises Malformed(MALFORMED_STUN)."""
    if len(value) % 4 or len(value) > 4 * MAX_ACKS:
        raise Malformed(DropReason.MALFORMED_STUN, f"acknowledgements of {len(value)} bytes")
    return struct.unpack(f">{len(value) // 4}I", value)
