"""Binding messages."""

from __future__ import annotations

import struct

import pytest
from aioice import stun
from hypothesis import given
from hypothesis import strategies as st

from workers.transceiver.core import checks
from workers.transceiver.core.checks import parse_binding
from workers.wire.types import DropReason, Malformed

KEY = b"a-password-of-22-chars"
TRANSACTION = bytes(range(12))


def request(**attributes: object) -> bytes:
    named = {name.replace("_", "-"): value for name, value in attributes.items()}
    return checks.encode_request(TRANSACTION, named, KEY)


def refused(datagram: bytes) -> DropReason:
    with pytest.raises(Malformed) as caught:
        parse_binding(datagram)
    return caught.value.reason


def test_a_request_comes_back_as_it_went() -> None:
    parsed = parse_binding(request(USERNAME="a:b", PRIORITY=7, USE_CANDIDATE=None))
    assert parsed.kind == stun.Class.REQUEST
    assert parsed.transaction == TRANSACTION
    assert parsed.attributes["USERNAME"] == "a:b"
    assert "USE-CANDIDATE" in parsed.attributes
    assert parsed.unknown == ()
    assert parsed.signed_with(KEY)
    assert not parsed.signed_with(b"another")


@pytest.mark.parametrize("address", [("192.0.2.1", 1234), ("2001:db8::1", 65535)])
def test_a_response_tells_the_address(address: tuple[str, int]) -> None:
    parsed = parse_binding(checks.encode_success(TRANSACTION, address, KEY))
    assert parsed.attributes["XOR-MAPPED-ADDRESS"] == address
    assert parsed.signed_with(KEY)


def test_an_error_names_what_was_not_understood() -> None:
    parsed = parse_binding(checks.encode_error(TRANSACTION, 420, KEY, (0x7001, 0x7002)))
    assert parsed.message.error_code == 420
    assert parsed.attributes["UNKNOWN-ATTRIBUTES"] == bytes.fromhex("70017002")


def test_unknown_attributes_that_must_be_understood_are_listed() -> None:
    body = struct.pack(">HH4s", 0x7001, 3, b"abc") + struct.pack(">HH4s", 0x8001, 4, b"abcd")
    header = struct.pack(">HHI12s", 1, len(body), stun.COOKIE, TRANSACTION)
    unsigned = stun.parse_message(header + body)
    assert unsigned.attributes == {}
    fingerprint = struct.pack(">HHI", 0x8028, 4, stun.message_fingerprint(header + body))
    whole = struct.pack(">HHI12s", 1, len(body) + 8, stun.COOKIE, TRANSACTION) + body + fingerprint
    parsed = parse_binding(whole)
    assert parsed.unknown == (0x7001,)
    assert not parsed.signed_with(KEY)


def test_what_follows_message_integrity_is_not_believed() -> None:
    signed = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, TRANSACTION, {"USERNAME": "a:b"})
    signed.add_message_integrity(KEY)
    del signed.attributes["FINGERPRINT"]
    signed.attributes["USE-CANDIDATE"] = None
    signed.add_fingerprint()
    parsed = parse_binding(bytes(signed))
    assert "USE-CANDIDATE" not in parsed.attributes
    assert parsed.signed_with(KEY)


def test_a_request_needs_a_fingerprint_and_a_right_one() -> None:
    message = stun.Message(
        stun.Method.BINDING, stun.Class.REQUEST, TRANSACTION, {"USERNAME": "a:b"}
    )
    assert refused(bytes(message)) is DropReason.MALFORMED_STUN
    whole = request(USERNAME="a:b")
    assert refused(whole[:-1] + bytes((whole[-1] ^ 1,))) is DropReason.MALFORMED_STUN


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        bytes(20),
        request()[:4] + bytes(4) + request()[8:],
        request()[:-4],
        struct.pack(">HHI12s", 1, 4, stun.COOKIE, TRANSACTION) + b"\x00\x24\x00\x00",
        struct.pack(">HHI12s", 1, 8, stun.COOKIE, TRANSACTION)
        + b"\x00\x06\x00\x01\xff\x00\x00\x00",
        struct.pack(">HHI12s", 0x0FF1, 0, stun.COOKIE, TRANSACTION),
    ],
)
def test_what_is_not_stun_is_refused(datagram: bytes) -> None:
    assert refused(datagram) is DropReason.MALFORMED_STUN


def test_another_method_is_not_for_us() -> None:
    allocate = stun.Message(stun.Method.ALLOCATE, stun.Class.REQUEST, TRANSACTION)
    assert refused(bytes(allocate)) is DropReason.UNSUPPORTED


@given(
    st.binary(max_size=300)
    | st.builds(
        lambda kind, body: struct.pack(">HHI12s", kind, len(body), stun.COOKIE, TRANSACTION) + body,
        st.sampled_from([0x0001, 0x0101, 0x0111, 0x0011]),
        st.lists(
            st.builds(
                lambda type_, value: (
                    struct.pack(">HH", type_, len(value)) + value + bytes(-len(value) % 4)
                ),
                st.sampled_from(sorted(stun.ATTRIBUTES_BY_TYPE)) | st.integers(0, 65535),
                st.binary(max_size=24),
            ),
            max_size=5,
        ).map(b"".join),
    )
)
def test_any_bytes_give_a_message_or_malformed(datagram: bytes) -> None:
    try:
        parsed = parse_binding(datagram)
    except Malformed:
        return
    assert not parsed.signed_with(KEY)
    assert len(parsed.unknown) <= 8
