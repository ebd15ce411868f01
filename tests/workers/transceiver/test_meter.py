from __future__ import annotations

import pytest

from config.ids import Endpoint
from workers.transceiver.core.interface import AudioReceived, MediaTook, RecordReceived
from workers.transceiver.core.room import MEASURE_EVERY
from workers.transceiver.core.streams.interface import FrameReceived
from workers.transceiver.meter import Meter, sets_up
from workers.wire.link import RecordType

RELAY = Endpoint("127.0.0.1", 7000)


def test_it_is_read_now_and_then() -> None:
    meter = Meter(10.0)
    meter.add(0.02)
    assert meter.read(10.0 + 0.9 * MEASURE_EVERY) is None
    meter.add(0.03)
    assert meter.read(10.0 + MEASURE_EVERY) == MediaTook(0.05)
    assert meter.read(10.0 + MEASURE_EVERY) is None
    assert meter.read(99.0) == MediaTook(0.0)


@pytest.mark.parametrize(
    ("kind", "payload", "is_so"),
    [
        (RecordType.INTRO, b"\x20", True),
        (RecordType.DATA, b"\x00\x01check", True),
        (RecordType.DATA, b"\x16handshake", True),
        (RecordType.DATA, b"\x17message", False),
        (RecordType.DATA, b"", True),
    ],
)
def test_set_up_is_no_media(kind: RecordType, payload: bytes, is_so: bool) -> None:
    assert sets_up(RecordReceived(RELAY, kind, 0, 9, payload)) is is_so


def test_a_frame_is_media() -> None:
    frame = AudioReceived(b"opus", 111, 7, 960, marker=False, ssrc=1)
    assert not sets_up(FrameReceived(1, frame, 0.0))
