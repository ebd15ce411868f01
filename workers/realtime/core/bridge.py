"""One call and one Realtime server: what either says, in the words of the other.

    client  <-- data channel: events -->  Bridge  <-- WebSocket: events, audio in base64 -->  server
            <-- RTP: audio ------------->

A Realtime server that speaks WebRTC keeps audio out of its events, plays it, and says when it plays
(`output_audio_buffer.*`). One that speaks WebSocket sends audio as events and leaves playing to whoever
listens: here it is played, and `conversation.item.truncate` tells how much was heard before the caller
interrupted. All else passes unchanged.
"""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, assert_never

from workers.realtime.core.events import (
    BadEvent,
    Event,
    encode_event,
    fitted_session,
    parse_event,
    text_of,
    wants_interruption,
)
from workers.realtime.core.interface import (
    FromClient,
    FromServer,
    Heard,
    Hush,
    Input,
    Opened,
    Output,
    Played,
    ToClient,
    ToServer,
)
from workers.realtime.core.voice import Closed, PartKey, Truncation, Voice

OWN: Final = "tandem_"
"""How the ids of events begin that neither the client nor the server has made."""
DELTA: Final = ("response.output_audio.delta", "response.audio.delta")
"""Its name now, and in the first version of the protocol."""
DONE: Final = ("response.output_audio.done", "response.audio.done")


class Bridge:
    """Sans-IO. Of strangers' events nothing is believed but what is checked here."""

    def __init__(self, claims: Mapping[str, Any], buffer: int) -> None:
        """`claims` of the call, of which `session` is what the client, or its token, asked for.

        `buffer`: milliseconds that the transceiver holds.
        """
        self.counts: Counter[str] = Counter()
        """What was not as it should be."""
        session = claims.get("session")
        self._session: dict[str, Any] = session if isinstance(session, dict) else {}
        self._voice = Voice(buffer)
        self._interrupts = True
        self._number = 0

    @property
    def model(self) -> str:
        """The model that the client asked for; empty if none."""
        return text_of(self._session, "model")

    def tally(self) -> dict[str, int]:
        """What was not as it should be, and how often."""
        unplayed = {"audio_dropped": self._voice.dropped, "audio_late": self._voice.late}
        return {**self.counts, **{name: count for name, count in unplayed.items() if count}}

    def handle(self, event: Input) -> list[Output]:
        """Take one event; the outputs are to be carried out in order."""
        match event:
            case Opened():
                session = fitted_session(self._session)
                wanted = {"type": "session.update", "session": session}
                return [ToServer(encode_event(wanted))] if self._session else []
            case Heard(pcm=pcm):
                audio = base64.b64encode(pcm).decode()
                appended = {"type": "input_audio_buffer.append", "audio": audio}
                return [ToServer(encode_event(appended))]
            case FromClient(text=text):
                return self._from_client(text)
            case FromServer(text=text):
                return self._from_server(text)
            case Played():
                return self._played(event)
            case _:
                assert_never(event)

    def failed(self, code: str, why: str) -> ToClient:
        """An error of ours, as the server would tell it."""
        error = {"type": "server_error", "code": code, "message": why}
        return self._own({"type": "error", "error": error})

    # --- the client -------------------------------------------------------------------------------

    def _from_client(self, text: bytes) -> list[Output]:
        try:
            event = parse_event(text)
            original = text.decode()
        except (BadEvent, UnicodeError) as problem:
            self.counts["malformed_from_client"] += 1
            error = {"type": "invalid_request_error", "code": "invalid_json"}
            return [self._own({"type": "error", "error": {**error, "message": str(problem)[:200]}})]
        session = event.get("session")
        if event["type"] == "output_audio_buffer.clear":
            return self._interrupt()
        if event["type"] == "session.update" and isinstance(session, dict):
            original = encode_event({**event, "session": fitted_session(session)})
        return [ToServer(original)]

    # --- the server -------------------------------------------------------------------------------

    def _from_server(self, text: str) -> list[Output]:
        try:
            event = parse_event(text)
        except BadEvent:
            self.counts["malformed_from_server"] += 1
            return []
        passed: list[Output] = [ToClient(text)]
        kind = event["type"]
        if kind in DELTA:
            return self._delta(event)
        if kind in DONE:
            self._voice.finish_part(_part(event))
            return [*passed, *self._voice.hand_over()]
        match kind:
            case "response.created":
                if response := _response(event):
                    self._voice.begin(response)
            case "response.done":
                closed = self._voice.finish_response(_response(event))
                return [*passed, *self._voice.hand_over(), *self._told(closed)]
            case "input_audio_buffer.speech_started":
                return [*passed, *(self._interrupt() if self._interrupts else [])]
            case "session.created" | "session.updated":
                session = event.get("session")
                if isinstance(session, dict):
                    self._interrupts = wants_interruption(session)
            case "error":
                error = event.get("error")
                if isinstance(error, dict) and text_of(error, "event_id").startswith(OWN):
                    self.counts["refused_by_server"] += 1
                    return []  # the client has not asked for it
            case _:
                pass  # nothing that concerns audio
        return passed

    def _delta(self, event: Event) -> list[Output]:
        try:
            pcm = base64.b64decode(text_of(event, "delta"), validate=True)
        except (binascii.Error, ValueError):
            self.counts["malformed_from_server"] += 1
            return []
        self._voice.add(_part(event), pcm)
        return list(self._voice.hand_over())

    # --- playing ----------------------------------------------------------------------------------

    def _interrupt(self) -> list[Output]:
        flush, unheard, closed = self._voice.interrupt()
        outputs: list[Output] = [Hush()] if flush else []
        outputs += [self._truncate(each) for each in unheard]
        return outputs + self._told(closed)

    def _played(self, news: Played) -> list[Output]:
        begins, truncation, closed = self._voice.played(news)
        outputs: list[Output] = []
        if begins:
            outputs.append(
                self._own({"type": "output_audio_buffer.started", "response_id": begins})
            )
        if truncation is not None:
            outputs.append(self._truncate(truncation))
        return [*outputs, *self._told(closed), *self._voice.hand_over()]

    def _told(self, closed: list[Closed]) -> list[Output]:
        ends = {True: "output_audio_buffer.cleared", False: "output_audio_buffer.stopped"}
        return [
            self._own({"type": ends[each.interrupted], "response_id": each.response})
            for each in closed
        ]

    def _truncate(self, truncation: Truncation) -> ToServer:
        event = {
            "type": "conversation.item.truncate",
            "event_id": self._id(),
            "item_id": truncation.item,
            "content_index": truncation.part,
            "audio_end_ms": truncation.milliseconds,
        }
        return ToServer(encode_event(event))

    def _own(self, event: Event) -> ToClient:
        return ToClient(encode_event({**event, "event_id": self._id()}))

    def _id(self) -> str:
        self._number += 1
        return f"{OWN}{self._number}"


def _part(event: Event) -> PartKey:
    index = event.get("content_index")
    return PartKey(
        text_of(event, "response_id"),
        text_of(event, "item_id"),
        index if isinstance(index, int) else 0,
    )


def _response(event: Event) -> str:
    """Id of the response that the event brings."""
    response = event.get("response")
    return text_of(response, "id") if isinstance(response, dict) else ""
