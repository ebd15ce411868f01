"""Any bytes have a meaning or are malformed; a check means its route."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.ids import ClusterId, Epoch, Route, TransceiverId
from tests.support.stun import USERNAME, attribute, message
from workers.relay.core.classify import Answer, Check, Media, classify
from workers.wire.demux import Kind
from workers.wire.stun import StunClass
from workers.wire.types import DropReason, Malformed
from workers.wire.ufrag import UfragKeys

KEYS = UfragKeys({"0": bytes(16)}, "0")
ROUTE = Route(ClusterId(1), TransceiverId(2), Epoch(3))
UFRAG = KEYS.mint(ROUTE, b"nonce!")


def stun(type_: int, username: bytes = b"") -> bytes:
    return message(type_, *([attribute(USERNAME, username)] if username else []))


@given(st.binary(max_size=100))
def test_any_bytes_have_a_meaning_or_are_malformed(datagram: bytes) -> None:
    with suppress(Malformed):
        classify(datagram, KEYS)


def test_meanings() -> None:
    assert classify(stun(0x0001, f"{UFRAG}:abcd".encode()), KEYS) == Check(ROUTE, UFRAG)
    assert classify(stun(0x0101), KEYS) == Answer(StunClass.SUCCESS)
    assert classify(stun(0x0011), KEYS) == Answer(StunClass.INDICATION)
    assert classify(b"\x16\xfe\xfd", KEYS) == Media(Kind.DTLS)
    assert classify(b"\x80\x6f", KEYS) == Media(Kind.RTP)


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (b"", DropReason.UNKNOWN_KIND),
        (b"\xff\x00", DropReason.UNKNOWN_KIND),
        (b"\x40\x00\x00\x00", DropReason.UNKNOWN_KIND),  # TURN channel data
        (stun(0x0001)[:-1], DropReason.MALFORMED_STUN),
        (stun(0x0003), DropReason.UNSUPPORTED),
        (stun(0x0001), DropReason.NO_USERNAME),
        (stun(0x0001, b":theirs"), DropReason.NO_USERNAME),
        (stun(0x0001, b"short:theirs"), DropReason.FORGED_UFRAG),
        (stun(0x0001, f"1{UFRAG[1:]}:x".encode()), DropReason.UNKNOWN_KEY),
        (stun(0x0001, f"{UFRAG[:-2]}00:x".encode()), DropReason.FORGED_UFRAG),
        (stun(0x0001, f"{UFRAG[:-1]}\xff:x".encode("latin-1")), DropReason.FORGED_UFRAG),
    ],
)
def test_of_no_use(datagram: bytes, reason: DropReason) -> None:
    with pytest.raises(Malformed) as caught:
        classify(datagram, KEYS)
    assert caught.value.reason is reason
