from __future__ import annotations

import json

from workers.caller.histogram import Histogram
from workers.caller.report import NOTES, PHASES, CallReport, Report
from workers.transceiver.core.reports import Reported
from workers.transceiver.core.streams.interface import StreamStats


def round_trips(*values: float) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    return histogram


def test_calls_are_summed() -> None:
    report = Report.of(
        [
            CallReport(
                "", {"http": 0.010}, 100, 98, 2, 1, 1, 0, 0.001, round_trips(0.002), {"x": 1}
            ),
            CallReport("", {"http": 0.020}, 100, 100, 0, jitter=0.003, drops={"x": 2}),
            CallReport("no answer to ICE checks", {"http": 0.030}),
        ]
    )
    fields = report.fields()
    assert json.loads(json.dumps(fields)) == fields
    assert (fields["sessions_ok"], fields["sessions_failed"]) == (2, 1)
    assert (fields["packets_sent"], fields["packets_received"], fields["packets_lost"]) == (
        200,
        198,
        2,
    )
    assert (fields["packets_duplicated"], fields["packets_reordered"]) == (1, 1)
    assert fields["errors"] == [{"error": "no answer to ICE checks", "count": 1}]
    assert fields["drops"] == {"x": 3}
    assert (fields["http_min_ms"], fields["http_max_ms"]) == (10.0, 30.0)
    assert fields["rtt_p50_ms"] == 2.0
    assert fields["ice_p50_ms"] is None


def test_each_direction_has_its_loss_and_jitter() -> None:
    down = StreamStats(packets_in=90, expected=93, lost=3, jitter=0.004)
    told = CallReport("", {}, network=0.03, up=Reported(0.1, 5, 0.002, 9.0), down=down)
    fields = Report.of([told, told, CallReport("", {})]).fields()
    assert (fields["packets_lost_up"], fields["packets_lost_down"]) == (10, 6)
    assert (fields["jitter_up_p50_ms"], fields["jitter_down_p50_ms"]) == (2.0, 4.0)
    assert fields["network_rtt_p50_ms"] == 30.0


def test_every_phase_is_in_the_object_even_without_calls() -> None:
    fields = Report().fields()
    assert {
        f"{phase}_{label}_ms" for phase in PHASES for label in ("min", "p50", "p99", "max")
    } <= set(fields)
    assert Report().rows() == []


def test_rows_show_only_what_was_measured() -> None:
    rows = Report.of([CallReport("", {"http": 0.010}, round_trips=round_trips(0.00004))]).rows()
    assert rows == [("http", ("10.0",) * 4), ("round trip", ("0.04",) * 4)]


def test_every_row_says_what_it_is() -> None:
    everything = CallReport(
        "",
        dict.fromkeys(PHASES, 0.010),
        received=2,
        jitter=0.001,
        round_trips=round_trips(0.002),
        network=0.03,
        up=Reported(0.1, 5, 0.002, 9.0),
        down=StreamStats(jitter=0.004),
        message_round_trips=round_trips(0.003),
    )
    rows = Report.of([everything]).rows()
    assert {name.replace(" ", "_") for name, _ in rows} == set(NOTES)


def test_a_back_end_that_is_no_echo_is_not_taken_for_loss() -> None:
    assert Report.of([CallReport("", {}, sent=50, received=48, foreign=2)]).warnings() == []
    (warning,) = Report.of([CallReport("", {}, sent=50, lost=50, foreign=49)]).warnings()
    assert "up and down alone" in warning
