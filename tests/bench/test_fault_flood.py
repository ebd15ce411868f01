"""The figures of a flood, from what was counted before and after it."""

from __future__ import annotations

from bench.fault_flood import Reading, figures
from bench.fault_stage import FLOOD_SIZE, check
from bench.relay_clients import Trip
from bench.scale import ROUTE
from workers.relay.core.classify import Check, classify
from workers.wire.ufrag import UfragKeys

MB = 2**20
QUIET = Trip(1000, 1000, 100.0, 200.0)


def test_figures_are_differences_over_what_was_read_meanwhile() -> None:
    before = Reading(500, 1, 2, datapath=1.0, deciding=2.0, memory=100 * MB)
    after = Reading(100_500, 4, 12, datapath=1.2, deciding=2.5, memory=108 * MB)
    flooded = Trip(sent=4000, received=3999, p50=1.0, p99=2.0)
    assert figures(128_000, 64_000.0, QUIET, flooded, before, after) == {
        "flood_per_second": 64_000.0,
        "flood_established_loss": 0.00025,
        "flood_established_lost": 1,
        "flood_quiet_loss": 0.0,
        "flood_p50_ms": 0.001,
        "flood_p99_ms": 0.002,
        "flood_quiet_p99_ms": 0.2,
        "flood_reached_share": 0.75,
        "flood_socket_drops": 3,
        "flood_backlog_drops": 10,
        "flood_datapath_us": 2.0,
        "flood_deciding_us": 5.0,
        "flood_memory_growth_mb": 8.0,
    }


def test_all_checks_have_the_size_that_the_sender_cuts_at() -> None:
    keys = UfragKeys({"0": bytes(16)}, "0")
    good = check(keys.mint(ROUTE, b"nonce!"))
    assert {len(good), len(check("?" * 23))} == {FLOOD_SIZE}
    assert isinstance(classify(good, keys), Check)
