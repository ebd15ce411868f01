from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.cli.loglines import LogLine, Wanted, parse_entry, parse_text, show

OURS = {
    "event": "worker killed",
    "level": "warning",
    "timestamp": "2026-01-02T03:04:05Z",
    "worker": "supervisor",
    "pid": 7,
    "of": "relay-0",
    "why": "no heartbeat",
}


def test_a_line_of_a_file() -> None:
    line = parse_text(json.dumps(OURS))
    assert (line.level, line.worker, line.event) == ("warning", "supervisor", "worker killed")
    assert line.at == 1767323045
    assert line.fields == {"of": "relay-0", "why": "no heartbeat"}
    assert show(line).endswith("warning  supervisor     worker killed  of=relay-0 why=no heartbeat")


def test_what_is_no_json_is_an_event_without_fields() -> None:
    assert parse_text("Traceback:") == LogLine(0.0, "info", "", "Traceback:", {})
    assert parse_text("[1, 2]").event == "[1, 2]"
    assert show(parse_text("Traceback:")).split() == ["info", "Traceback:"]


def test_an_entry_of_the_journal_whose_text_is_ours() -> None:
    entry = {"MESSAGE": json.dumps(OURS), "PRIORITY": "6", "__REALTIME_TIMESTAMP": "1"}
    assert parse_entry(json.dumps(entry)) == parse_text(json.dumps(OURS))


def test_an_entry_of_the_journal_with_fields() -> None:
    entry = {
        "MESSAGE": "session crashed",
        "PRIORITY": "3",
        "TANDEM_WORKER": "transceiver-0",
        "SESSION": "rtc_0_x",
        "_PID": "7",
        "__REALTIME_TIMESTAMP": "1500000",
    }
    line = parse_entry(json.dumps(entry))
    assert line == LogLine(1.5, "error", "transceiver-0", "session crashed", {"session": "rtc_0_x"})


def test_an_entry_of_systemd_itself_and_one_of_bytes() -> None:
    line = parse_entry(json.dumps({"MESSAGE": "Started.", "__REALTIME_TIMESTAMP": "1000000"}))
    assert line == LogLine(1.0, "info", "", "Started.", {})
    line = parse_entry(json.dumps({"MESSAGE": [104, 255]}))
    assert line is not None
    assert line.event == "h\ufffd"
    assert parse_entry("-- no entries --") is None
    line = parse_entry(json.dumps({"MESSAGE": None, "TANDEM_EVENT": "it failed"}))
    assert line is not None, "longer than journalctl shows"
    assert line.event == "it failed"


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        (Wanted(), True),
        (Wanted(level="warning"), True),
        (Wanted(level="error"), False),
        (Wanted(worker="supervisor"), True),
        (Wanted(worker="relay-0"), True),
        (Wanted(worker="relay-1"), False),
        (Wanted(session="rtc_0_x"), False),
    ],
)
def test_which_are_wanted(wanted: Wanted, shown: bool) -> None:
    assert wanted.has(parse_text(json.dumps(OURS))) is shown


@given(st.text())
def test_any_text_is_a_line(text: str) -> None:
    show(parse_text(text))
    parse_entry(text)
