"""The transceiver's bench: its arithmetic."""

from __future__ import annotations

from typing import Any

from bench.transceiver import Window, many_fields
from bench.transceiver_contenders import Turn, connected, medians


def report(sent: int = 100, received: int = 100, **fields: Any) -> dict[str, Any]:
    return {
        "packets_sent": sent,
        "packets_received": received,
        "packets_lost": sent - received,
        "sessions_failed": 0,
        "connected_p50_ms": 1.0,
        "connected_p99_ms": 2.0,
        "rtt_p50_ms": 3.0,
        "rtt_p99_ms": 4.0,
        "first_packet_p50_ms": 6.0,
        "first_packet_p99_ms": 7.0,
        "tick_late_max_ms": 5.0,
        **fields,
    }


def test_a_figure_is_the_median_of_its_rounds() -> None:
    turns = [Turn(us, 0.1, kb, report()) for us, kb in ((30.0, 90.0), (10.0, 0.0), (20.0, 0.0))]
    fields = medians({"pion": turns})
    assert fields["pion_us_per_echo"] == 20.0
    # Memory that was once given is given again: only the first round shows what a session takes.
    assert fields["pion_kb_per_session"] == 90.0


def test_loss_and_failures_show() -> None:
    turns = [Turn(1.0, 0.1, 1.0, report(received=90, sessions_failed=2))]
    fields = medians({"janus": turns})
    assert fields["janus_lost"] == 0.1
    assert fields["janus_failed"] == 2


def test_a_peer_that_never_answered_has_figures_too() -> None:
    silent = report(received=0, connected_p50_ms=None, connected_p99_ms=None, rtt_p50_ms=None)
    assert medians({"janus": [Turn(0.0, 0.0, 0.0, silent)]})["janus_connected_p50_ms"] == 0


def test_one_failed_spot_check_fails_them_all() -> None:
    turns = [Turn(1.0, 0.1, 1.0, report(), amiss) for amiss in ("", None, "no call", "")]
    assert medians({"janus": turns})["janus_spot_check"] == "failed"
    assert medians({"janus": turns[:2]})["janus_spot_check"] == "ok"
    assert "janus_spot_check" not in medians({"janus": turns[1:2]})


def test_a_call_without_an_echo_was_set_up_all_the_same() -> None:
    silent, never = "connected, but no audio came back", "no answer to ICE checks"
    errors = [{"error": silent, "count": 3}, {"error": never, "count": 2}]
    assert connected({"errors": errors}, 20) == 18


def test_many_are_told_by_their_number() -> None:
    window = Window(8.004, 5.0, 77.0, report(sent=1000, received=999))
    fields = many_fields([(300, window)])
    assert fields["tandem_us_per_echo_300"] == 8.0
    assert fields["both_us_per_echo_300"] == 13.0
    assert fields["lost_300"] == 0.001
