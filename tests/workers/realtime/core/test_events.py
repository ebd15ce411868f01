"""Events of strangers, and sessions made to fit."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.realtime.core.events import (
    BadEvent,
    encode_event,
    fitted_session,
    parse_event,
    text_of,
    wants_interruption,
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"type": 1}',
        '{"type": ""}',
        '{"type": "' + "x" * 129 + '"}',
        '{"type": "\\ud800"}',
        "[" * 100_000,
        b"\xff",
    ],
)
def test_what_is_no_event(text: str | bytes) -> None:
    with pytest.raises(BadEvent):
        parse_event(text)


@given(st.one_of(st.text(), st.binary()))
def test_nothing_else_is_raised(text: str | bytes) -> None:
    with suppress(BadEvent):
        assert parse_event(text)["type"]


json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json, max_size=4))
def test_an_event_survives_its_text(fields: dict[str, object]) -> None:
    event = {**fields, "type": "x"}
    assert parse_event(encode_event(event)) == event


def test_formats_and_model_are_not_the_clients() -> None:
    asked = {
        "type": "realtime",
        "model": "theirs",
        "instructions": "Be kind.",
        "input_audio_format": "g711_ulaw",
        "audio": {
            "input": {"format": {"type": "audio/pcmu"}, "turn_detection": {"type": "server_vad"}},
            "output": {"format": {"type": "audio/pcma"}, "voice": "marin"},
        },
    }
    assert fitted_session(asked) == {
        "type": "realtime",
        "instructions": "Be kind.",
        "audio": {
            "input": {"turn_detection": {"type": "server_vad"}},
            "output": {"voice": "marin"},
        },
    }


@given(json.filter(lambda value: isinstance(value, dict)))
def test_any_session_can_be_fitted(session: dict[str, object]) -> None:
    fitted_session({**session, "audio": session})
    wants_interruption({**session, "audio": session})


@pytest.mark.parametrize(
    ("session", "wanted"),
    [
        ({}, True),
        ({"audio": {"input": {"turn_detection": None}}}, True),
        ({"audio": {"input": {"turn_detection": {"interrupt_response": False}}}}, False),
        ({"audio": {"input": {"turn_detection": {"interrupt_response": True}}}}, True),
        ({"turn_detection": {"interrupt_response": False}}, False),
        ({"audio": 7, "turn_detection": "x"}, True),
    ],
)
def test_who_stops_the_answer(session: dict[str, object], wanted: bool) -> None:
    assert wants_interruption(session) is wanted


def test_a_field_that_is_no_text_is_empty() -> None:
    assert [text_of({"a": value}, "a") for value in ("x", 1, None)] == ["x", "", ""]
    assert text_of({}, "a") == ""
