"""The bench of scale: its arithmetic, its clients, and one round of it on real sockets."""

from __future__ import annotations

import pytest

from bench.scale import (
    CHECK_EVERY,
    KEYS,
    MILLION,
    ROUTE,
    TABLES,
    check_of,
    client,
    first_checks,
    lookups,
    rates,
)
from workers.native import NotBuilt, load
from workers.relay.core.classify import Check, classify


def test_a_lookup_is_that_of_the_best_round_and_the_ratio_that_of_the_figures() -> None:
    rounds = [dict(zip(TABLES, took, strict=True)) for took in [(9.0, 30, 50), (12, 20, 18)]]
    assert lookups(rounds) == {
        "lookup_1k_ns": 9.0,
        "lookup_64k_ns": 20,
        "lookup_1m_ns": 18,
        "lookup_ratio": 2.0,
    }


def test_rates_are_what_fits_into_a_second_and_between_two_checks() -> None:
    assert CHECK_EVERY == 2.5
    assert rates(first=50e-6, check=25e-6) == {
        "new_flows_per_second": 20_000,
        "live_flows_per_worker": 100_000,
    }


def test_every_client_has_an_address_of_this_host_and_of_its_own() -> None:
    assert client(0, 7).host == "127.1.0.1"
    assert client(MILLION - 1, 7).host.startswith("127.16.")
    some = range(0, MILLION, 997)
    assert len({client(n, 7) for n in some}) == len(some)


def test_a_check_names_a_ufrag_of_its_session_and_route() -> None:
    checks = [classify(check_of(session), KEYS) for session in (1, 2)]
    assert all(isinstance(check, Check) and check.route == ROUTE for check in checks)
    assert checks[0] != checks[1]


@pytest.mark.process
def test_a_round_of_first_checks() -> None:
    try:
        load()
    except NotBuilt as reason:
        pytest.skip(str(reason))
    first, again = first_checks(1)
    assert first > 0
    assert again > 0
