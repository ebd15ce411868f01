"""What the page is told: enough to draw it, and nothing by which a session could be ended."""

from __future__ import annotations

import json

from config.ids import SessionId
from ipc.messages.sessions import SessionList, SessionSummary
from tests.support.statuses import every_role
from workers.telemetry.core.history import History
from workers.telemetry.core.view import data, sessions, shortened

TOKEN = "k7Xq0aBcDeFgHiJkLmNoPqRs"


def test_the_page_gets_what_it_lacks_and_how_things_are() -> None:
    history = History()
    for at in (1, 2, 3):
        history.add(every_role(float(at)), at * 2000)
    told = json.loads(data(history, 1, every_role(), 42))
    assert (told["began"], told["serial"]) == (42, 3)
    assert told["samples"]["at"] == [4000, 6000]
    assert told["status"]["state"] == "ready"
    assert [w["role"] for w in told["status"]["workers"]][:2] == ["relay", "transceiver"]
    assert told["status"]["listen"] == ["192.0.2.1:3478"]


def test_without_a_supervisor_the_past_is_still_there() -> None:
    history = History()
    history.add(every_role(), 1)
    told = json.loads(data(history, 0, None, 42))
    assert told["status"] is None
    assert told["samples"]["sessions"] == [3]


def test_a_session_is_named_but_not_enough_to_end_it() -> None:
    row = SessionSummary(SessionId(f"rtc_7_{TOKEN}"), "connected", 5.0, "p", "opus", 1, 2, 0, 0.5)
    text = sessions(SessionList((row,), 9))
    assert TOKEN.encode() not in text
    told = json.loads(text)
    assert told["total"] == 9
    assert told["rows"][0]["session"] == shortened(row.session) == "rtc_7_k7Xq0aBc"
    assert told["rows"][0]["round_trip_ms"] is None


def test_nobody_knows_is_not_that_there_are_none() -> None:
    assert json.loads(sessions(None)) is None
    assert json.loads(sessions(SessionList((), 0))) == {"total": 0, "rows": []}
