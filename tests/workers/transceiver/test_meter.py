from __future__ import annotations

import pytest

from config.ids import Endpoint
from workers.transceiver.core.interface import AudioReceived, MediaTook, RecordReceived
from workers.transceiver.core.room import MEASURE_EVERY
from workers.transceiver.core.streams.interface import FrameReceived
from workers.transceiver.meter import Meter, sets_up
from workers.wire.link import RecordType

RELAY = Endpoint("127.0.0.1", 7000)


def test_it_tells_now_and_then() -> None:
    told: list[tuple[MediaTook, float]] = []
    meter = Meter(lambda took, now: told.append((took, now)), 10.0)
    meter.add(0.02)
    meter.tell(10.0 + 0.9 * MEASURE_EVERY)
    meter.add(0.03)
    meter.tell(10.0 + MEASURE_EVERY)
    meter.tell(10.0 + MEASURE_EVERY)
    meter.tell(99.0)
    assert told == [(MediaTook(0.05), 10.0 + MEASURE_EVERY), (MediaTook(0.0), 99.0)]


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
