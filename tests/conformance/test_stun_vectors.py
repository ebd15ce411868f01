"""RFC 5769: the test vectors that RFC 8489 keeps, and what a relay and a session make of them."""

from __future__ import annotations

from typing import Final

import pytest

from workers.transceiver.core.checks import encode_request, encode_success, parse_binding
from workers.transceiver.core.stun_codec import stun
from workers.wire.stun import StunClass, parse_stun
from workers.wire.types import DropReason, Malformed

PASSWORD: Final = b"VOkJxbRl1RmTxUk/WvJxBt"
TRANSACTION: Final = bytes.fromhex("b7e7a701bc34d686fa87dfae")
REQUEST: Final = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae"
    "802200105354554e207465737420636c69656e74"  # SOFTWARE
    "002400046e0001ff"  # PRIORITY
    "80290008932ff9b151263b36"  # ICE-CONTROLLED
    "000600096576746a3a68367659202020"  # USERNAME, padded with spaces
    "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2"  # MESSAGE-INTEGRITY
    "80280004e57a3bcf"  # FINGERPRINT
)
"""Section 2.1."""
RESPONSE_IPV4: Final = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae"
    "8022000b7465737420766563746f7220"
    "002000080001a147e112a643"
    "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"
    "80280004c07d4c96"
)
"""Section 2.2."""
RESPONSE_IPV6: Final = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae"
    "8022000b7465737420766563746f7220"
    "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
    "00080014a382954e4be67bf11784c97c8292c275bfe3ed41"
    "80280004c8fb0b4c"
)
"""Section 2.3."""
VECTORS: Final = [REQUEST, RESPONSE_IPV4, RESPONSE_IPV6]


def test_a_relay_reads_the_request() -> None:
    summary = parse_stun(REQUEST)
    assert (summary.stun_class, summary.ours, summary.theirs) == (StunClass.REQUEST, "evtj", "h6vY")


def test_a_session_reads_the_request() -> None:
    binding = parse_binding(REQUEST)
    assert (binding.kind, binding.transaction) == (stun.Class.REQUEST, TRANSACTION)
    assert binding.attributes["USERNAME"] == "evtj:h6vY"
    assert binding.attributes["PRIORITY"] == 0x6E0001FF
    assert binding.attributes["ICE-CONTROLLED"] == 0x932FF9B151263B36
    assert binding.unknown == ()
    assert binding.signed_with(PASSWORD)
    assert not binding.signed_with(PASSWORD[:-1] + b"u")


@pytest.mark.parametrize(
    ("response", "mapped"),
    [
        (RESPONSE_IPV4, ("192.0.2.1", 32853)),
        (RESPONSE_IPV6, ("2001:db8:1234:5678:11:2233:4455:6677", 32853)),
    ],
)
def test_a_session_reads_the_responses(response: bytes, mapped: tuple[str, int]) -> None:
    binding = parse_binding(response)
    assert binding.kind is stun.Class.RESPONSE
    assert binding.attributes["XOR-MAPPED-ADDRESS"] == mapped
    assert binding.signed_with(PASSWORD)
    # Ours says the same address in the same bytes.
    ours = encode_success(TRANSACTION, mapped, PASSWORD)
    attribute = response[36 : response.index(bytes.fromhex("00080014"))]
    assert ours[20 : 20 + len(attribute)] == attribute
    assert parse_binding(ours).signed_with(PASSWORD)


def test_what_we_sign_differs_from_the_vector_only_in_its_padding() -> None:
    """The vector pads with spaces; RFC 8489, 14, wants zeroes. So it is all but that, and the hashes."""
    ours = encode_request(
        TRANSACTION,
        {
            "SOFTWARE": "STUN test client",
            "PRIORITY": 0x6E0001FF,
            "ICE-CONTROLLED": 0x932FF9B151263B36,
            "USERNAME": "evtj:h6vY",
        },
        PASSWORD,
    )
    assert len(ours) == len(REQUEST)
    padding = REQUEST.index(b"   ")
    assert ours[:padding] == REQUEST[:padding]
    assert ours[padding : padding + 3] == bytes(3)
    assert parse_binding(ours).signed_with(PASSWORD)


@pytest.mark.parametrize("vector", VECTORS, ids=["request", "ipv4", "ipv6"])
def test_no_bit_that_is_signed_may_change(vector: bytes) -> None:
    for bit in range(8 * (len(vector) - 8)):  # all but FINGERPRINT
        damaged = bytearray(vector)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            binding = parse_binding(bytes(damaged))
        except Malformed as malformed:
            assert malformed.reason in (DropReason.MALFORMED_STUN, DropReason.UNSUPPORTED)
        else:
            assert not binding.signed_with(PASSWORD)


@pytest.mark.parametrize("bit", range(32))
def test_nor_may_the_checksum(bit: int) -> None:
    damaged = bytearray(REQUEST)
    damaged[-4 + bit // 8] ^= 1 << bit % 8
    with pytest.raises(Malformed):
        parse_binding(bytes(damaged))
