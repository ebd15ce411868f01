"""What either end says, in the words of the other."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.realtime_server import CLIENT, SERVER, conforming
from workers.realtime.core.bridge import OWN, Bridge
from workers.realtime.core.interface import (
    Became,
    FromClient,
    FromServer,
    Heard,
    Hush,
    Input,
    Opened,
    Played,
    Say,
    ToClient,
    ToServer,
)
from workers.realtime.core.voice import PER_MS

PART = {"response_id": "r1", "item_id": "a", "output_index": 0, "content_index": 0}


class Stage:
    """A bridge, and what it did last."""

    def __init__(self, session: dict[str, Any] | None = None) -> None:
        self.bridge = Bridge({"session": session} if session is not None else {}, 60_000)
        self.played: list[Say] = []
        self.hushed = 0

    def feed(self, event: Input) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Events for the server, and for the client."""
        upward: list[dict[str, Any]] = []
        downward: list[dict[str, Any]] = []
        for output in self.bridge.handle(event):
            match output:
                case ToServer(text=text):
                    upward.append(json.loads(text))
                case ToClient(text=text):
                    downward.append(json.loads(text))
                case Say():
                    self.played.append(output)
                case Hush():
                    self.hushed += 1
        for event_ in upward:
            conforming(event_, CLIENT)
        for event_ in downward:
            if event_.get("event_id", "").startswith(OWN):
                conforming(event_, SERVER)
        return upward, downward

    def client(self, **event: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        return self.feed(FromClient(json.dumps(event).encode()))

    def server(self, kind: str, **event: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        return self.feed(FromServer(json.dumps({"type": kind, **event})))

    def speak(self, milliseconds: int, kind: str = "response.output_audio.delta") -> None:
        delta = base64.b64encode(bytes(milliseconds * PER_MS)).decode()
        assert self.server(kind, delta=delta, **PART) == ([], [])


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def test_the_session_of_the_call_is_asked_for() -> None:
    stage = Stage({"type": "realtime", "model": "m", "instructions": "Be kind."})
    assert stage.bridge.model == "m"
    assert stage.feed(Opened())[0] == [
        {"type": "session.update", "session": {"type": "realtime", "instructions": "Be kind."}}
    ]


@pytest.mark.parametrize("claims", [{}, {"session": None}, {"session": "x"}, {"session": {}}])
def test_without_one_the_server_decides(claims: dict[str, Any]) -> None:
    bridge = Bridge(claims, 1_000)
    assert bridge.model == ""
    assert not bridge.handle(Opened())


def test_what_the_caller_says_is_appended() -> None:
    upward, _ = Stage().feed(Heard(b"\1\2"))
    assert upward == [{"type": "input_audio_buffer.append", "audio": "AQI="}]


@pytest.mark.parametrize("kind", ["response.output_audio.delta", "response.audio.delta"])
def test_what_the_server_says_is_played_and_is_no_event_for_the_client(kind: str) -> None:
    stage = Stage()
    stage.speak(100, kind)
    assert sum(len(say.pcm) for say in stage.played) == 100 * PER_MS


def test_events_pass_as_they_are() -> None:
    bridge = Stage().bridge
    text = '{ "type":"conversation.item.create",  "item": {"x": 1.50} }'
    assert bridge.handle(FromClient(text.encode())) == [ToServer(text)]
    text = '{"type":"response.function_call_arguments.done", "arguments":"{\\u0022}"}'
    assert bridge.handle(FromServer(text)) == [ToClient(text)]


def test_the_client_may_change_its_session_but_not_the_format() -> None:
    session = {"type": "realtime", "audio": {"output": {"format": {"type": "audio/pcmu"}}}}
    upward, _ = Stage().client(type="session.update", event_id="e1", session=session)
    assert upward == [
        {
            "type": "session.update",
            "event_id": "e1",
            "session": {"type": "realtime", "audio": {"output": {}}},
        }
    ]


def test_an_answer_that_is_heard_to_its_end() -> None:
    stage = Stage()
    stage.server("response.created", response={"id": "r1"})
    stage.speak(100)
    _, told = stage.feed(Played("utterance-1", Became.STARTED, 0))
    assert [(e["type"], e["response_id"]) for e in told] == [("output_audio_buffer.started", "r1")]
    stage.server("response.output_audio.done", **PART)
    assert stage.played[-1].last
    _, told = stage.server("response.done", response={"id": "r1"})
    assert types(told) == ["response.done"]
    upward, told = stage.feed(Played("utterance-1", Became.DRAINED, 100))
    assert (upward, types(told)) == ([], ["output_audio_buffer.stopped"])


@pytest.mark.parametrize("by", ["speech", "clear"])
def test_an_answer_that_is_interrupted(by: str) -> None:
    stage = Stage()
    stage.speak(8_000)
    stage.feed(Played("utterance-1", Became.STARTED, 0))
    if by == "speech":
        _, told = stage.server("input_audio_buffer.speech_started", audio_start_ms=1, item_id="u")
        assert types(told) == ["input_audio_buffer.speech_started"]
    else:
        assert stage.client(type="output_audio_buffer.clear") == ([], [])
    assert stage.hushed == 1
    upward, told = stage.feed(Played("utterance-1", Became.CLEARED, 1_240))
    (truncate,) = upward
    assert truncate.pop("event_id").startswith(OWN)
    assert truncate == {
        "type": "conversation.item.truncate",
        "item_id": "a",
        "content_index": 0,
        "audio_end_ms": 1_240,
    }
    assert types(told) == ["output_audio_buffer.cleared"]
    _, told = stage.server("response.done", response={"id": "r1", "status": "cancelled"})
    assert types(told) == ["response.done"]


def test_speech_does_not_interrupt_if_the_session_says_so() -> None:
    stage = Stage()
    detection = {"type": "server_vad", "interrupt_response": False}
    stage.server("session.updated", session={"audio": {"input": {"turn_detection": detection}}})
    stage.speak(1_000)
    stage.server("input_audio_buffer.speech_started")
    assert stage.hushed == 0


def test_an_error_about_our_own_event_is_not_the_clients() -> None:
    stage = Stage()
    assert stage.server("error", error={"event_id": f"{OWN}1"}) == ([], [])
    assert stage.bridge.tally() == {"refused_by_server": 1}
    assert types(stage.server("error", error={"event_id": "theirs"})[1]) == ["error"]


@pytest.mark.parametrize("text", [b"", b"[1]", b'{"type":5}', b"\xff\xfe"])
def test_what_is_no_event_of_the_clients_is_told_to_it_alone(text: bytes) -> None:
    stage = Stage()
    upward, told = stage.feed(FromClient(text))
    assert (upward, types(told)) == ([], ["error"])
    assert stage.bridge.tally() == {"malformed_from_client": 1}


def test_what_is_no_event_of_the_servers_is_counted() -> None:
    stage = Stage()
    assert stage.feed(FromServer("{")) == ([], [])
    for delta in ("*", "AAA", 7):
        assert stage.server("response.output_audio.delta", delta=delta, **PART) == ([], [])
    assert stage.bridge.tally() == {"malformed_from_server": 3}


def test_what_could_not_be_played_is_counted() -> None:
    stage = Stage()
    stage.speak(5)
    stage.server("input_audio_buffer.speech_started")
    stage.speak(5)
    assert stage.bridge.tally() == {"audio_late": 5 * PER_MS}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=4,
)
fields = st.dictionaries(
    st.sampled_from(
        ["response", "session", "error", "delta", "item_id", "content_index", "response_id"]
    ),
    json_values,
)
kinds = st.sampled_from(sorted({*CLIENT, *SERVER, "response.audio.delta", "response.audio.done"}))


@given(st.lists(st.tuples(st.booleans(), kinds, fields), max_size=8), json_values)
def test_nothing_that_is_said_breaks_it(
    said: list[tuple[bool, str, dict[str, Any]]], session: Any
) -> None:
    bridge = Bridge({"session": session}, 1_000)
    bridge.handle(Opened())
    for by_client, kind, rest in said:
        text = json.dumps({**rest, "type": kind})
        bridge.handle(FromClient(text.encode()) if by_client else FromServer(text))
