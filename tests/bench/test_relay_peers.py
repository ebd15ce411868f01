"""What the bench says to a TURN server, read by a library that knows TURN."""

from __future__ import annotations

from aioice import stun as reference

from bench.relay_peers import allocate, channel_bind, channel_header, succeeded
from config.ids import Endpoint


def test_an_allocate_request() -> None:
    message = reference.parse_message(allocate())
    assert message.message_method is reference.Method.ALLOCATE
    assert message.message_class is reference.Class.REQUEST
    assert message.attributes["REQUESTED-TRANSPORT"] == 0x11000000
    assert message.attributes["LIFETIME"] == 3600


def test_a_channel_bind_request_names_channel_and_peer() -> None:
    message = reference.parse_message(channel_bind(Endpoint("127.0.0.1", 4711)))
    assert message.message_method is reference.Method.CHANNEL_BIND
    assert message.attributes["CHANNEL-NUMBER"] == 0x4000
    assert message.attributes["XOR-PEER-ADDRESS"] == ("127.0.0.1", 4711)


def test_channel_data_and_success() -> None:
    assert channel_header(160) == b"\x40\x00\x00\xa0"
    assert succeeded(0x0003) == b"\x01\x03"
