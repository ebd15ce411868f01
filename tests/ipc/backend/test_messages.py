"""The items of the back-end protocol, as somebody without our code sees them."""

from __future__ import annotations

import typing

import msgpack
import pytest

from ipc.backend.codec import encode_batch
from ipc.backend.messages import (
    RATES,
    AudioFormat,
    AudioIn,
    Encoding,
    FromBackend,
    Hello,
    SessionStarted,
    ToBackend,
)


def test_kinds_on_the_wire_are_snake_case_and_unique() -> None:
    kinds = {*typing.get_args(ToBackend), *typing.get_args(FromBackend)}
    tags = [kind.__struct_config__.tag for kind in kinds]
    assert len(set(tags)) == len(tags)
    assert all(tag == tag.lower() for tag in tags)
    assert SessionStarted.__struct_config__.tag == "session_started"


def test_another_msgpack_reads_a_batch() -> None:
    batch: list[ToBackend] = [Hello("transceiver-0"), AudioIn("rtc_0_a", 40, b"opus")]
    assert msgpack.unpackb(encode_batch(batch)) == [
        {"type": "hello", "name": "transceiver-0"},
        {"type": "audio_in", "session": "rtc_0_a", "at": 40, "payload": b"opus"},
    ]


@pytest.mark.parametrize("encoding", Encoding)
def test_a_format_is_valid_at_its_rates_only(encoding: Encoding) -> None:
    for rate in RATES[encoding]:
        assert AudioFormat(encoding, rate).valid
    assert not AudioFormat(encoding, 44_100).valid
