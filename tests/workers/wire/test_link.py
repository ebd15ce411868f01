from __future__ import annotations

from ipaddress import IPv6Address
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.ids import ClusterId, Endpoint, Epoch, FlowKey, Route, TransceiverId, Transport
from workers.wire.link import (
    FLAG_ASSURED,
    HEADER_LENGTH,
    INTRO_PREFIX_LENGTH,
    ROUTED_PREFIX_LENGTH,
    Record,
    RecordType,
    encode_intro,
    encode_record,
    encode_routed,
    make_label,
    pack_records,
    parse_intro,
    parse_records,
    parse_routed,
    split_label,
)
from workers.wire.types import DropReason, Malformed

TYPES = st.sampled_from([t for t in RecordType if t <= RecordType.UNKNOWN])
PAYLOADS = st.binary(max_size=64)
RECORDS = st.tuples(TYPES, st.integers(0, 255), st.integers(0, 2**32 - 1), PAYLOADS)
# Not v4-mapped IPv6 addresses: on the wire they are the IPv4 ones.
HOSTS = st.one_of(st.ip_addresses(v=4), st.integers(2**48, 2**128 - 1).map(IPv6Address)).map(str)
ENDPOINTS = st.builds(Endpoint, HOSTS, st.integers(0, 65535))
IDS = st.integers(0, 65535)
ROUTES = st.builds(Route, IDS.map(ClusterId), IDS.map(TransceiverId), IDS.map(Epoch))
KEYS = st.builds(FlowKey, st.sampled_from(Transport), ENDPOINTS, ENDPOINTS, st.none())


def parsed(datagram: bytes) -> list[Record]:
    return list(parse_records(datagram))


@given(st.lists(RECORDS, max_size=8))
def test_records_in_a_datagram_come_out_as_they_went_in(
    records: list[tuple[RecordType, int, int, bytes]],
) -> None:
    datagram = b"".join(encode_record(*record) for record in records)
    assert [(*r[:3], bytes(r.payload)) for r in parsed(datagram)] == records


@given(st.binary(max_size=200))
def test_any_bytes_are_records_or_malformed(datagram: bytes) -> None:
    taken = 0
    try:
        for record in parse_records(datagram):
            taken += HEADER_LENGTH + len(record.payload)
    except Malformed as error:
        assert error.reason is DropReason.MALFORMED_LINK
        assert taken < len(datagram)
    else:
        assert taken == len(datagram)


def test_what_stood_before_the_damage_is_still_good() -> None:
    good = encode_record(RecordType.DATA, FLAG_ASSURED, 7, b"abc")
    records = parse_records(good + b"\x01\x00\xff\xff")
    assert bytes(next(records).payload) == b"abc"
    with pytest.raises(Malformed, match="truncated header"):
        next(records)


@pytest.mark.parametrize(
    ("datagram", "what"),
    [
        (b"\x01", "truncated header"),
        (encode_record(RecordType.DATA, 0, 1, b"abc")[:-1], "truncated payload"),
        (b"\x00" + encode_record(RecordType.DATA, 0, 1, b"")[1:], "type 0"),
        (b"\xff" + encode_record(RecordType.DATA, 0, 1, b"")[1:], "type 255"),
        (encode_record(RecordType.ROUTED, 0, 1, b""), "type 5"),  # no transceiver's business
        (encode_record(RecordType.ECHO, 0, 1, b""), "type 6"),
    ],
)
def test_damage_has_a_name(datagram: bytes, what: str) -> None:
    with pytest.raises(Malformed, match=what):
        parsed(datagram)


def test_payloads_are_not_copied() -> None:
    datagram = encode_record(RecordType.DATA, 0, 1, b"abc")
    (record,) = parsed(datagram)
    assert record.payload.obj is datagram


@given(KEYS, PAYLOADS)
def test_an_intro_names_its_client(key: FlowKey, datagram: bytes) -> None:
    payload = encode_intro(key, datagram)
    found, rest = parse_intro(payload)
    assert found == key
    assert bytes(rest) == datagram


@given(st.binary(max_size=80))
def test_any_bytes_are_an_intro_or_malformed(payload: bytes) -> None:
    try:
        key, rest = parse_intro(payload)
    except Malformed as error:
        assert error.reason is DropReason.MALFORMED_LINK
    else:
        assert encode_intro(key, bytes(rest))[INTRO_PREFIX_LENGTH:] == bytes(rest)


@given(ROUTES, KEYS)
def test_what_is_cut_short_is_malformed(route: Route, key: FlowKey) -> None:
    intro, routed = encode_intro(key, b""), encode_routed(route, key, b"")
    for payload, parse in ((intro, parse_intro), (routed, parse_routed)):
        for length in range(len(payload)):
            with pytest.raises(Malformed):
                parse(payload[:length])


@given(ROUTES, KEYS, PAYLOADS)
def test_what_is_routed_names_its_route_too(route: Route, key: FlowKey, datagram: bytes) -> None:
    payload = encode_routed(route, key, datagram)
    assert payload[ROUTED_PREFIX_LENGTH:] == datagram
    found, same, rest = parse_routed(payload)
    assert (found, same, bytes(rest)) == (route, key, datagram)


@given(st.binary(max_size=80))
def test_any_bytes_are_routed_or_malformed(payload: bytes) -> None:
    try:
        route, key, rest = parse_routed(payload)
    except Malformed as error:
        assert error.reason is DropReason.MALFORMED_LINK
    else:
        assert encode_routed(route, key, bytes(rest))[ROUTED_PREFIX_LENGTH:] == bytes(rest)


@given(st.integers(0, 2**24 - 1), st.integers(0, 1000))
def test_a_label_is_a_slot_and_a_generation(slot: int, generation: int) -> None:
    label = make_label(slot, generation)
    assert 0 <= label < 2**32
    assert split_label(label) == (slot, generation % 256)


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=20), st.integers(50, 120))
def test_packing_keeps_order_and_size_and_wastes_no_datagram(
    records: list[bytes], mtu: int
) -> None:
    datagrams = list(pack_records(records, mtu))
    assert b"".join(datagrams) == b"".join(records)
    assert all(0 < len(datagram) <= mtu for datagram in datagrams)
    begins = dict(zip(accumulate(map(len, records), initial=0), records, strict=False))
    at = 0
    for datagram in datagrams[:-1]:
        at += len(datagram)
        assert len(datagram) + len(begins[at]) > mtu  # the next record had no room


def test_a_record_that_is_too_big_goes_alone() -> None:
    assert list(pack_records([b"a", b"b" * 99, b"c"], mtu=10)) == [b"a", b"b" * 99, b"c"]
