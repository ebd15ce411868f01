from __future__ import annotations

import json

from msgspec import structs

from appliance.cli.render import as_json
from appliance.cli.views.session import session_view
from config.ids import Endpoint
from ipc.messages.details import (
    AudioDetail,
    ChannelDetail,
    LimitDetail,
    PathDetail,
    SessionDetail,
)
from tests.appliance.cli.test_render import SESSION
from tests.support.terminal import row_of, text_of

DETAIL = SessionDetail(
    summary=SESSION,
    backend="agent",
    endpoint="ipc:///run/[a].sock",
    ufrags=("0abc", "0def"),
    dtls="DTLS 1.2 passive, AEAD_AES_128_GCM",
    audio=AudioDetail("opus", "opus", 240_000, 240_080, 3002, 0.04, 0.02, 7, 12345),
    paths=(
        PathDetail("192.0.2.9:5>192.0.2.1:3478/udp", True, True, True, 1.25,
                   Endpoint("127.0.0.1", 9), 0x205, "relay-0"),
        PathDetail("192.0.2.8:5>192.0.2.1:3478/udp", verified=True, silence=61.0),
    ),
    channels=(ChannelDetail(1, "chat [x]", "", True),),
    buffered=120,
    limits=LimitDetail(consent=27.5, max_duration=3600.0),
)  # fmt: skip


def test_for_people() -> None:
    text = text_of(session_view(DETAIL))
    assert row_of(text, "state ") == "state connected on transceiver-0"
    assert row_of(text, "back end") == "back end agent at ipc:///run/[a].sock"
    assert row_of(text, "ufrag") == "ufrag 0abc, 0def"
    assert row_of(text, "ends") == (
        "ends in 27s without another check, in 1h00m by its maximum duration"
    )
    assert row_of(text, "buffered") == "buffered 120 bytes of messages"
    assert row_of(text, "in ") == "in opus 3000 240k 2 (0.1 %) 1.2 ms 0.0 s ago"
    assert row_of(text, "out ") == "out opus 3001 240.1k 7 (0.2 %) 3.0 ms 0.0 s ago"
    assert row_of(text, "192.0.2.9:5") == (
        "192.0.2.9:5>192.0.2.1:3478/udp selected relay-0 2.5 1.2 s"
    )
    assert row_of(text, "192.0.2.8:5") == "192.0.2.8:5>192.0.2.1:3478/udp verified - - 61.0 s"
    assert row_of(text, "1 ") == "1 chat [x] - yes"


def test_of_a_session_that_nobody_came_for() -> None:
    summary = structs.replace(
        SESSION, state="waiting", codec="", path="", round_trip_ms=None, peer_lost=None
    )
    text = text_of(session_view(SessionDetail(summary, "echo", limits=LimitDetail(connect=12.0))))
    assert row_of(text, "ends") == "ends in 12s unless it is connected"
    assert "no path yet: no check" in text
    assert row_of(text, "security") == "security -"
    assert "channel" not in text


def test_it_fits_a_small_terminal() -> None:
    assert "…" not in text_of(session_view(DETAIL), width=80)


def test_for_programs() -> None:
    found = json.loads(as_json(DETAIL))
    assert found["paths"][0]["relay"] == "127.0.0.1:9"
    assert found["limits"]["idle"] is None
    assert found["summary"]["session"] == "rtc_0_abc"
