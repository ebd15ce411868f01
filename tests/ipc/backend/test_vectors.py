"""The published vectors are what we say and understand, every kind of item once."""

from __future__ import annotations

import json
import os
import typing
from pathlib import Path
from typing import Any, Final

import msgpack
import msgspec

from ipc.backend.codec import decode_from_backend, decode_to_backend, encode_batch
from ipc.backend.messages import (
    Accept,
    AudioFormat,
    AudioIn,
    AudioOut,
    ChannelClosed,
    ChannelOpened,
    ClientHints,
    Credit,
    DataIn,
    DataOut,
    Dtmf,
    Encoding,
    Error,
    ErrorCode,
    Flush,
    FromBackend,
    HangUp,
    Heartbeat,
    Hello,
    LimitWarning,
    OpenChannel,
    Pause,
    Playback,
    PlaybackEvent,
    Reject,
    Resume,
    SessionEnded,
    SessionStarted,
    Speech,
    Stats,
    ToBackend,
)
from ipc.backend.vad import Vad

VECTORS: Final = Path(__file__).resolve().parents[3] / "docs" / "backend-vectors.json"
S: Final = "rtc_0_a2b4c6"
PCM: Final = AudioFormat(Encoding.PCM, 16_000)
TO: Final[list[ToBackend]] = [
    Hello("transceiver-0@edge-3", instance="5f0c"),
    Heartbeat(),
    Error(ErrorCode.AUDIO_FLOOD, "the buffer holds 10000 ms", S),
    SessionStarted(
        S,
        "agent",
        {"session": {"model": "agent"}, "metadata": {"name": "Ada", "tier": 2}, "key": "shop"},
        ClientHints("203.0.113.7:51000", "Mozilla/5.0", "https://app.example"),
        "opus",
        data=True,
        buffer=10_000,
        resumed=True,
    ),
    AudioIn(S, 40, b"\xfc\xff\xfe"),
    AudioIn(S, 60, lost=20),
    Dtmf(S, "5", 120),
    ChannelOpened(S, 0, "chat", "json"),
    ChannelClosed(S, 0),
    DataIn(S, 0, b"hello", text=True),
    Playback(S, PlaybackEvent.CLEARED, "greeting", 340),
    Speech(S, True, 1200),
    LimitWarning(S, "max_duration", 30.0),
    Stats(S, 41.5, 3.25, 2, 1, 3),
    SessionEnded(S, "hangup"),
]
FROM: Final[list[FromBackend]] = [
    Hello("agent", instance="77aa", audio=PCM, capacity=200),
    Heartbeat(),
    Credit(1024),
    Error(ErrorCode.MALFORMED, "$[0].session"),
    Accept(S, PCM, speech=True, barge_in=True, vad=Vad(0.75, 200, 350)),
    Accept(S),
    Reject(S, "closed"),
    AudioOut(S, b"\x01\x00\x02\x00", "greeting", last=True),
    AudioOut(S, b"\xfc\xff\xfe", live=True),
    Flush(S, "greeting"),
    Pause(S),
    Resume(S),
    Dtmf(S, "#"),
    OpenChannel(S, "events", "json"),
    DataOut(S, 0, b"\x00\x01"),
    HangUp(S, "goodbye"),
]


def vector(item: ToBackend | FromBackend, bytes_: bytes) -> dict[str, Any]:
    return {"item": json.loads(msgspec.json.encode(item)), "batch": bytes_.hex()}


def current() -> dict[str, Any]:
    return {
        "note": "Each batch holds the one item beside it; bytes of an item are base64 in its JSON.",
        "to_backend": [vector(item, encode_batch([item])) for item in TO],
        "from_backend": [vector(item, encode_batch([item])) for item in FROM],
    }


def test_every_kind_has_a_vector() -> None:
    assert {type(item) for item in TO} == set(typing.get_args(ToBackend))
    assert {type(item) for item in FROM} == set(typing.get_args(FromBackend))


def test_the_published_vectors_are_current() -> None:
    text = json.dumps(current(), indent=1) + "\n"
    if os.environ.get("UPDATE_VECTORS"):
        VECTORS.write_text(text)
    assert VECTORS.read_text() == text, "run with UPDATE_VECTORS=1"


def test_they_read_back_with_us_and_without_us() -> None:
    published = json.loads(VECTORS.read_text())
    for item, entry in zip(TO, published["to_backend"], strict=True):
        assert decode_to_backend(bytes.fromhex(entry["batch"])) == [item]
    for said, entry in zip(FROM, published["from_backend"], strict=True):
        assert decode_from_backend(bytes.fromhex(entry["batch"])) == [said]
        (foreign,) = msgpack.unpackb(bytes.fromhex(entry["batch"]))
        assert foreign["type"] == entry["item"]["type"]


def test_the_page_names_every_kind() -> None:
    page = (VECTORS.parent / "backend.md").read_text()
    for kind in (*typing.get_args(ToBackend), *typing.get_args(FromBackend)):
        assert f"`{kind.__struct_config__.tag}`" in page
