"""SNAP: INIT chunks that travel in offer and answer (draft-hancke-tsvwg-snap-00).

    a=sctp-init:<base64 of an INIT chunk, its header included>

Both ends know all that a handshake would tell them before the first packet, so the association stands as
soon as DTLS does: two round trips less until a message can leave. What the cookie is for, DTLS has done.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Final

from workers.transceiver.core.sctp.handshake import Handshake, Peer, read_peer
from workers.transceiver.core.sctp.interface import WINDOW
from workers.wire.sctp import chunk_length, parse_init
from workers.wire.types import DropReason, Malformed

MAX_TEXT: Final = 1024
"""Characters of an attribute's value; Chromium's has 40."""


def make_init(entropy: Callable[[int], bytes]) -> bytes:
    """An INIT chunk of ours, without padding behind it."""
    chunk = Handshake(entropy, WINDOW).init()
    return chunk[: chunk_length(chunk)]


def encode_sctp_init(chunk: bytes) -> str:
    """The attribute's value."""
    return b64encode(chunk).decode()


def parse_sctp_init(text: str) -> bytes:
    """The chunk, one that an association can begin with. Raises Malformed(MALFORMED_SCTP)."""
    if len(text) > MAX_TEXT or len(text) % 4:
        raise Malformed(DropReason.MALFORMED_SCTP, f"sctp-init of {len(text)} characters")
    try:
        chunk = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed(DropReason.MALFORMED_SCTP, "sctp-init is not base64") from None
    introduce(chunk)
    return chunk


def introduce(chunk: bytes) -> Peer:
    """What an INIT chunk tells of its sender. Raises Malformed(MALFORMED_SCTP)."""
    peer = read_peer(parse_init(chunk))
    if peer is None or len(chunk) - chunk_length(chunk) > 3:
        raise Malformed(DropReason.MALFORMED_SCTP, "sctp-init cannot be meant")
    return peer
