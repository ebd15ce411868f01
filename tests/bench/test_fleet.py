"""The fleet on paper: its arithmetic holds, and its figures are those that docs/scaling.md names."""

from __future__ import annotations

import re
from pathlib import Path

from bench.fleet import HASHES, HOST_BYTES, abandonment, capacity, convergence, registry, rehash

SCALING = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text()


def test_what_a_core_carries_is_what_the_page_says() -> None:
    found = capacity()
    for row, name in (
        ("sessions per relay core", "sessions_per_relay_core"),
        ("sessions per core of a second relay, behind a Global Relay", "sessions_per_ingress_core"),
        ("sessions per transceiver core, audio passed through", "sessions_per_transceiver_core"),
        ("new sessions per core and second, everything included", "new_sessions_per_core_second"),
    ):
        match = re.search(rf"\| {re.escape(row)} \| ([\d,]+) \|", SCALING)
        assert match is not None, row
        said = int(match[1].replace(",", ""))
        assert abs(found[name] - said) <= 0.01 * said, (row, found[name])


def test_reading_grows_with_the_square_of_a_cluster() -> None:
    small, large = registry(10_000, 100), registry(10_000, 1_000)
    own = 2 * 10_000 * HOST_BYTES / 1e6  # grows with their number alone
    assert small["read_mb_per_second"] == 80 + own
    assert large["read_mb_per_second"] == 800 + own
    assert small["commands_per_second"] == large["commands_per_second"]
    assert registry(10_000, 10_000)["busiest_server_share"] > 1


def test_a_change_is_known_within_two_beats_and_a_turn() -> None:
    found = convergence(50, turns=20)
    assert found["known_p50_ms"] < found["known_p99_ms"] <= found["known_everywhere_max_ms"]
    assert found["known_everywhere_max_ms"] <= 1000 + 15


def test_each_hash_moves_what_it_is_known_to_move() -> None:
    found = rehash(flows=4_000)
    assert 0.8 < found["moved_modulo"] < 0.9  # (n - 1) / n
    assert 0.25 <= found["moved_threshold"] <= 0.5  # RFC 2992
    assert found["moved_resilient"] == found["moved_rendezvous"] == 0
    hosts = list(range(8))
    for name, chosen in HASHES.items():
        counts = [0] * 8
        for flow in range(8_000):
            counts[chosen(flow, hosts)] += 1
        assert min(counts) > 850, (name, counts)


def test_a_dead_relay_is_left_within_two_seconds() -> None:
    found = abandonment(turns=50)
    assert found["left_p50_ms"] <= found["left_max_ms"] <= 2000
