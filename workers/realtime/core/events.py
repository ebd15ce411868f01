"""Events of the Realtime protocol as text: read, written, and made to fit a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec

Event: TypeAlias = dict[str, Any]


class BadEvent(Exception):
    """The text is no event; says why."""


MAX_TYPE: Final = 128
"""Characters of an event's type."""
_FORMATS: Final = ("input_audio_format", "output_audio_format")
"""Where the first version of the protocol had the formats of audio."""

_decode: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode


def parse_event(text: str | bytes) -> Event:
    """An object with a `type` that is text. Raises BadEvent."""
    try:
        event = _decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadEvent(f"no JSON: {error}") from error
    if not isinstance(event, dict):
        raise BadEvent("an event is a JSON object")
    kind = event.get("type")
    if not isinstance(kind, str) or not 0 < len(kind) <= MAX_TYPE:
        raise BadEvent("an event has a type")
    return event


def encode_event(event: Mapping[str, Any]) -> str:
    """JSON of an event."""
    return _encode(event).decode()


def text_of(event: Mapping[str, Any], key: str) -> str:
    """A field that should be text; empty if it is not."""
    value = event.get(key)
    return value if isinstance(value, str) else ""


def fitted_session(session: Mapping[str, Any]) -> dict[str, Any]:
    """A session as it may be asked for here: without the formats of audio and without the model.

    The formats are between us and the server: PCM of 24 kHz, which is what servers take and give unless
    told otherwise. The model was chosen when the WebSocket was opened.
    """
    fitted = {key: value for key, value in session.items() if key not in (*_FORMATS, "model")}
    audio = fitted.get("audio")
    if isinstance(audio, dict):
        fitted["audio"] = {
            side: _without_format(value) if side in ("input", "output") else value
            for side, value in audio.items()
        }
    return fitted


def _without_format(side: object) -> object:
    if not isinstance(side, dict):
        return side
    return {key: value for key, value in side.items() if key != "format"}


def wants_interruption(session: Mapping[str, Any]) -> bool:
    """Whether the server stops its answer when it hears speech, which it does unless told otherwise."""
    audio = session.get("audio")
    heard = audio.get("input") if isinstance(audio, dict) else None
    detection = (heard if isinstance(heard, dict) else session).get("turn_detection")
    return not isinstance(detection, dict) or detection.get("interrupt_response") is not False
