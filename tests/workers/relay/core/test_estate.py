"""What is left arrives as it was, and nothing that could not be."""

from __future__ import annotations

import msgspec
import pytest

from config.ids import ClusterId, Endpoint, Epoch, Route, TransceiverId
from workers.relay.core.estate import (
    Estate,
    EstateError,
    LeftConnection,
    LeftFlow,
    decode_estate,
    encode_estate,
    may_be_left,
)
from workers.wire.link import MAX_PAYLOAD, make_label

HERE = Endpoint("192.0.2.1", 3478)
LINK = Endpoint("2001:db8::1", 4000)
FLOW = LeftFlow(make_label(7, 255), Route(ClusterId(1), TransceiverId(2), Epoch(3)), LINK, 1.5)
SESSIONS = LeftConnection(HERE, b"\x00\x09part", b"rest", FLOW)
STRANGERS = LeftConnection(HERE, within=4.5)


def test_it_arrives_as_it_was() -> None:
    estate = Estate(12.5, (SESSIONS, STRANGERS), b"\x01\x02")
    assert decode_estate(encode_estate(estate)) == estate
    assert decode_estate(encode_estate(Estate(0.0))) == Estate(0.0)


def test_a_later_version_may_say_more() -> None:
    said = msgspec.msgpack.decode(encode_estate(Estate(1.0, (STRANGERS,))))
    said["news"] = said["connections"][0]["news"] = 1
    assert decode_estate(msgspec.msgpack.encode(said)) == Estate(1.0, (STRANGERS,))


def changed(connection: LeftConnection = SESSIONS, **fields: object) -> bytes:
    return encode_estate(Estate(1.0, (msgspec.structs.replace(connection, **fields),)))


def flow(**fields: object) -> bytes:
    return changed(flow=msgspec.structs.replace(FLOW, **fields))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80",
        b"\xc1",
        encode_estate(Estate(1.0)) + b"\x00",
        encode_estate(Estate(float("nan"))),
        b"\x91" * 100_000,
        changed(local=Endpoint("example.org", 1)),
        changed(local=Endpoint("192.0.2.1", 65_536)),
        changed(local=Endpoint("192.0.2.1", -1)),
        changed(local=Endpoint("2001:DB8::1", 1)),
        changed(rest=bytes(MAX_PAYLOAD + 3)),
        changed(unsent=bytes(MAX_PAYLOAD + 3)),
        changed(STRANGERS, within=-0.1),
        changed(STRANGERS, within=float("inf")),
        changed(STRANGERS, within=float("nan")),
        flow(label=1 << 32),
        flow(label=-1),
        flow(route=Route(ClusterId(1), TransceiverId(1 << 16), Epoch(0))),
        flow(link=Endpoint("", 0)),
        flow(silence=float("nan")),
        flow(silence=float("inf")),
        flow(silence=-1.0),
    ],
)
def test_what_cannot_be_is_refused(data: bytes) -> None:
    with pytest.raises(EstateError):
        decode_estate(data)


def test_nothing_that_would_be_refused_is_left() -> None:
    assert may_be_left(SESSIONS)
    assert may_be_left(msgspec.structs.replace(SESSIONS, unsent=bytes(MAX_PAYLOAD + 2)))
    assert not may_be_left(msgspec.structs.replace(SESSIONS, unsent=bytes(MAX_PAYLOAD + 3)))
