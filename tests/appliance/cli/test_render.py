from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from appliance.cli.render import as_json, count, duration, sessions_view, status_view
from config.ids import Endpoint, SessionId, WorkerName
from ipc.messages.admin import SpareStatus, StatusReply, WorkerStatus
from ipc.messages.sessions import SessionList, SessionSummary
from ipc.messages.stats import (
    EndpointStats,
    ProcessUsage,
    RelayStats,
    SignalingStats,
    TcpStats,
    TransceiverStats,
)
from tests.support.terminal import row_of, text_of

USAGE = ProcessUsage(cpu_seconds=5.0, rss_bytes=50 * 2**20)
RELAY = RelayStats(
    WorkerName("relay-0"),
    USAGE,
    received=1234567,
    forwarded=1234000,
    upcalled=500,
    returned=7654321,
    dropped={"empty": 60},
    refused={"no_username": 7},
    flows=12,
    pending=1,
    assured_total=40,
    conserved=True,
)
TRANSCEIVER = TransceiverStats(
    WorkerName("transceiver-0"),
    USAGE,
    sessions=11,
    connected=10,
    created_total=40,
    closed={},
    records_in=100,
    records_out=200,
    audio_in=90,
    audio_out=180,
    dropped={"srtp_replay": 3},
)
SIGNALING = SignalingStats(WorkerName("signaling-0"), USAGE, 4, {"201": 40, "415": 2}, guarded=1)
STATUS = StatusReply(
    version="0.1.0",
    pid=4242,
    state="ready",
    uptime=7810.0,
    page="http://127.0.0.1:8080/",
    listen=(Endpoint("192.0.2.1", 3478), Endpoint("2001:db8::1", 3478)),
    advertise=(),
    workers=(
        WorkerStatus("relay-0", "ready", 1, 0, 0, 100.0, 12, "python [no native one built]", RELAY),
        WorkerStatus("transceiver-0", "draining", 2, None, 1, 100.0, 11, "", TRANSCEIVER),
        WorkerStatus("signaling-0", "ready", 3, None, 0, 100.0, 4, "", SIGNALING),
        WorkerStatus("relay-1", "back-off", 0, 1, 0, 0.0, 0, "exit code 70"),
    ),
    warnings=("receive buffer is 212992 bytes [asked for 4194304]",),
)
SESSION = SessionSummary(
    session=SessionId("rtc_0_abc"),
    state="connected",
    age=65.0,
    path="192.0.2.9:5>192.0.2.1:3478/udp",
    codec="opus",
    packets_in=3000,
    packets_out=3001,
    lost=2,
    jitter_ms=1.25,
    worker="transceiver-0",
    round_trip_ms=42.0,
    peer_lost=7,
    peer_jitter_ms=3.0,
)


def test_what_goes_by_tcp_is_in_the_relays_row() -> None:
    tcp = TcpStats(
        3, 9, {"left": 6}, 70_000, 90, 9, 80_000, {"empty": 1}, {"stale_label": 2}, 3, 0, 5
    )
    relay = structs.replace(RELAY, tcp=tcp, received=1, returned=2)
    row = structs.replace(STATUS.workers[0], stats=relay)
    advertised = (Endpoint("192.0.2.1", 443),)
    text = text_of(status_view(structs.replace(STATUS, workers=(row,), advertise_tcp=advertised)))
    assert "192.0.2.1:443/tcp" in text
    assert row_of(text, "relay-0 ") == "relay-0 ready 1 0 1m40s 12 70001 80002 70 5.0 50 MB"
    assert "/tcp" not in text_of(status_view(STATUS))


def test_a_global_relay_says_who_answers_it() -> None:
    """A relay of a cluster that one of ours does not hear is named, whatever the others hear."""
    seen = ({"a:1": True, "b:1": True}, {"a:1": True, "b:1": False})
    workers = tuple(
        structs.replace(STATUS.workers[0], stats=structs.replace(RELAY, others={"7": relays}))
        for relays in seen
    )
    text = text_of(status_view(structs.replace(STATUS, workers=workers)))
    assert "cluster 7" in text
    assert "a:1 answers, b:1 silent" in text
    assert "cluster" not in text_of(status_view(STATUS))


def test_status_for_people() -> None:
    text = text_of(status_view(STATUS))
    assert "0.1.0, ready for 2h10m, process 4242" in text
    assert "http://127.0.0.1:8080/" in text
    assert "192.0.2.1:3478/udp, [2001:db8::1]:3478/udp" in text
    assert row_of(text, "relay-0 ") == "relay-0 ready 1 0 1m40s 12 1.235M 7.654M 67 5.0 50 MB"
    assert (
        row_of(text, "transceiver-0 ") == "transceiver-0 draining 2 - 1m40s 11 100 200 3 5.0 50 MB"
    )
    assert row_of(text, "signaling-0 ") == "signaling-0 ready 3 - 1m40s 4 - 42 1 5.0 50 MB"
    assert row_of(text, "relay-1 ") == "relay-1 back-off - 1 0s 0 - - - - -"
    assert row_of(text, "relay-0:") == "relay-0: python [no native one built]"
    assert row_of(text, "transceiver-0:") == "transceiver-0: restarted once"
    assert row_of(text, "relay-1:") == "relay-1: exit code 70"
    assert "warning: receive buffer is 212992 bytes [asked for 4194304]" in text


def test_spares_are_named_where_there_are_any() -> None:
    spares = (SpareStatus("relay", 7, True), SpareStatus("signaling", 8, False))
    text = text_of(status_view(msgspec.structs.replace(STATUS, spares=spares)))
    assert "relay, signaling (not yet)" in text
    assert "spares" not in text_of(status_view(STATUS))


def test_why_sessions_ended_is_summed_over_the_transceivers() -> None:
    closed = [{"hangup": 2, "idle": 5}, {"hangup": 9}]
    workers = tuple(
        structs.replace(STATUS.workers[1], stats=structs.replace(TRANSCEIVER, closed=reasons))
        for reasons in closed
    )
    text = text_of(status_view(structs.replace(STATUS, workers=workers)))
    assert row_of(text, "ended ") == "ended 11 hangup, 5 idle"
    assert "ended" not in text_of(status_view(STATUS))


def test_status_fits_a_small_terminal() -> None:
    text = text_of(status_view(STATUS), width=80)
    assert "50 MB" in row_of(text, "transceiver-0 ")
    assert "…" not in text


def test_a_broken_law_of_conservation_is_shouted() -> None:
    broken = RelayStats(
        **{f: getattr(RELAY, f) for f in RELAY.__struct_fields__} | {"conserved": False}
    )
    row = WorkerStatus("relay-0", "ready", 1, 0, 0, 100.0, 12, "", broken)
    status = StatusReply("1", 1, "ready", 1.0, "", (), (), (row,))
    assert "relay-0: its counters do not add up" in text_of(status_view(status))


def test_status_for_programs() -> None:
    found = json.loads(as_json(STATUS))
    assert found["listen"] == ["192.0.2.1:3478", "[2001:db8::1]:3478"]
    usage = {"cpu_seconds": 5.0, "rss_bytes": 52428800, "at": 0.0, "lost": {}}
    assert found["workers"][0]["stats"]["usage"] == usage
    assert found["workers"][3]["stats"] is None
    # Defaults are left off our own wire, but a program finds every key.
    assert found["workers"][2]["note"] == ""


def test_sessions_for_people() -> None:
    text = text_of(sessions_view(SessionList((SESSION,), 1)))
    assert row_of(text, "rtc_0_abc ") == (
        "rtc_0_abc transceiver-0 connected 1m05s 42.0 ms 3000 2 1.2 ms 3001 7 3.0 ms opus"
        " 192.0.2.9:5>192.0.2.1:3478/udp"
    )
    assert "shown" not in text


def test_sessions_fit_a_small_terminal() -> None:
    session = structs.replace(SESSION, session=SessionId("rtc_0_05Z1ZGC56XiZK7OnHLbtTBJ"))
    text = text_of(sessions_view(SessionList((session,), 1)), width=80)
    assert row_of(text, "rtc_0_05") == f"{session.session} connected 1m05s 42.0 ms 2 7"
    assert "state age rtt lost in lost out" in " ".join(text.split())
    assert "no room for: worker, packets in, jitter in" in " ".join(text.split())


def test_what_a_client_has_not_reported_is_not_shown_as_nought() -> None:
    silent = structs.replace(SESSION, round_trip_ms=None, peer_lost=None, peer_jitter_ms=None)
    row = row_of(text_of(sessions_view(SessionList((silent,), 1))), "rtc_0_abc ")
    assert "1m05s - 3000 2 1.2 ms 3001 - - opus" in row


def test_sessions_that_are_not_shown_are_counted() -> None:
    assert "1 of 90 sessions shown" in text_of(sessions_view(SessionList((SESSION,), 90)))
    assert text_of(sessions_view(SessionList((), 0))).strip() == "no sessions"


def test_sessions_for_programs() -> None:
    found = json.loads(as_json(SessionList((SESSION,), 1)))
    assert found["rows"][0]["session"] == "rtc_0_abc"
    assert found["total"] == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0s"),
        (7.9, "7s"),
        (185, "3m05s"),
        (7800, "2h10m"),
        (4 * 86400 + 3 * 3600 + 59, "4d03h"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (99_999, "99999"), (123_456, "123.5k"), (1_234_567, "1.235M"), (5 * 10**9, "5G")],
)
def test_count(number: int, text: str) -> None:
    assert count(number) == text


@given(st.integers(0, 2**53))
def test_count_is_short(number: int) -> None:
    assert len(count(number)) <= 6


def test_back_ends_elsewhere_are_shown_with_who_reaches_them() -> None:
    def seen(*live: bool, each: int = 3) -> StatusReply:
        workers = []
        for number, lives in enumerate(live):
            stats = structs.replace(
                TRANSCEIVER,
                backends={"agent": {"ipc:///run/a.sock": EndpointStats(lives, each * lives)}},
            )
            name = f"transceiver-{number}"
            workers.append(WorkerStatus(name, "ready", 2, None, 1, 100.0, 11, "", stats))
        return structs.replace(STATUS, workers=tuple(workers))

    assert "ipc:///run/a.sock 6 sessions" in text_of(status_view(seen(True, True)))
    assert "ipc:///run/a.sock away" in text_of(status_view(seen(False, False)))
    assert "reached by 1 of 2, 3 sessions" in text_of(status_view(seen(True, False)))
    assert "1 sessions" not in text_of(status_view(seen(True, each=1)))


def test_who_runs_another_version_is_named() -> None:
    rows = tuple(msgspec.structs.replace(w, release="0.9") for w in STATUS.workers[:2])
    status = msgspec.structs.replace(STATUS, workers=rows)
    text = text_of(status_view(status))
    assert "relay-0, transceiver-0: runs version 0.9 (tandem upgrade)" in text
    same = msgspec.structs.replace(status, version="0.9")
    assert "runs version" not in text_of(status_view(same))
