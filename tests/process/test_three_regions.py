"""The world on one machine: three regions, a WAN between them, and a client behind a NAT."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio

from tests.support.hosts import fleet_stats
from tests.support.peers import CHROMIUM, STATS, chromium
from tests.support.regions import HOST, OUTSIDE, WAYS, Regions, report_of, three_regions
from tests.support.wan import UDP, why_not

pytestmark = [
    pytest.mark.process,
    # On CI this fails rather than being skipped in silence.
    pytest.mark.skipif(bool(why_not()) and not os.environ.get("CI"), reason=why_not()),
]
WITHIN = 120.0
"""Seconds: on a busy machine a client takes fifteen to start, and ten of silence are more than that."""
TRIP = 0.5


@pytest.fixture(scope="module")
def running() -> Iterator[Regions]:
    with three_regions() as everything:
        yield everything


@pytest.fixture
def regions(running: Regions) -> Iterator[Regions]:
    """With nobody's call but the test's."""
    yield running
    running.end_calls()
    until(lambda: not running.sessions().rows, lambda: running.sessions())


def until(condition: Callable[[], object], what: Callable[[], object] = str) -> None:
    """Wait for something that shows at the appliance."""
    end = time.monotonic() + WITHIN
    while not condition():
        assert time.monotonic() < end, f"it did not happen: {what()}"
        time.sleep(0.05)


def test_a_client_gets_the_near_site_and_the_next_one(regions: Regions) -> None:
    hops = {region: regions.first_hop(region) for region in HOST}
    assert hops["eu"] < hops["us"] < hops["ap"]
    call = regions.call()
    until(lambda: regions.relays_in_use() == ["eu"], regions.sessions)
    (row,) = regions.sessions().rows
    assert row.path.startswith(f"{OUTSIDE[0]}:")  # the client's own, not that of the relay between
    report = report_of(call)
    assert report["sessions_ok"] == 1, report


def test_a_nat_that_forgets_and_a_new_address_end_no_session(regions: Regions) -> None:
    call = regions.call()
    until(lambda: regions.relays_in_use() == ["eu"], regions.sessions)
    before = regions.sessions().rows[0].path
    regions.internet.change(rebind="home")
    until(lambda: regions.sessions().rows[0].path != before)
    regions.internet.change(move="home", to=OUTSIDE[1])
    until(lambda: regions.sessions().rows[0].path.startswith(f"{OUTSIDE[1]}:"))
    regions.internet.change(move="home", to=OUTSIDE[0])
    report = report_of(call)
    assert report["sessions_ok"] == 1, report


def test_a_site_that_is_cut_off_is_left_without_a_request(regions: Regions, tmp_path: Path) -> None:
    origin = f"http://{HOST['us']}:8080"
    flags = [f"--unsafely-treat-insecure-origin-as-secure={origin}", "--no-sandbox"]
    there = tmp_path / "chromium"
    there.write_text(
        f'#!/bin/sh\nexec {shlex.join(regions.internet.inside("home"))} {CHROMIUM} "$@"\n'
    )
    there.chmod(0o755)
    with chromium(tmp_path, flags=flags, executable=there) as browser:
        page = browser.new_page()
        page.goto(origin)
        page.click("#start")
        until(lambda: regions.relays_in_use() == ["eu"], regions.sessions)
        regions.internet.change(ways={"home>eu": {"cut": True}})
        try:
            until(lambda: regions.relays_in_use() == ["us"], regions.sessions)
            received = page.evaluate(STATS)["received"]
            until(lambda: page.evaluate(STATS)["received"] > received + 50)
            assert page.evaluate(STATS)["state"] == "connected"
            page.click("#hang-up")
        finally:
            regions.internet.change(ways={"home>eu": {"cut": False}})


def test_a_new_call_while_a_site_is_cut_off_takes_the_other(regions: Regions) -> None:
    regions.internet.change(ways={"home>eu": {"cut": True}})
    try:
        call = regions.call()
        until(lambda: regions.relays_in_use() == ["us"], regions.sessions)
        assert report_of(call)["sessions_ok"] == 1
    finally:
        regions.internet.change(ways={"home>eu": {"cut": False}})


def test_a_region_that_has_lost_redis_keeps_serving(regions: Regions) -> None:
    us = regions.hosts["us"]

    def redis() -> str:
        return fleet_stats(trio.run(us.status)).redis

    until(lambda: redis().startswith("reached"), redis)
    regions.internet.change(ways={"us>redis": {"cut": True}})
    try:
        until(lambda: redis().startswith("away"), redis)
        # The others think that it is gone; their relays see that it is not.
        others = [regions.hosts[region] for region in ("eu", "ap")]

        def known() -> list[int]:
            return [fleet_stats(trio.run(each.status)).hosts for each in others]

        until(lambda: known() == [1, 1], known)
        call = regions.call()
        until(lambda: regions.relays_in_use() == ["eu"], regions.sessions)
        assert report_of(call)["sessions_ok"] == 1
    finally:
        regions.internet.change(ways={"us>redis": {"cut": False}})
    # The others have said meanwhile that they know no way to it any more.
    until(lambda: known() == [2, 2], known)
    regions.wait_for_near()


def test_set_up_over_tcp_costs_at_most_three_round_trips_more(regions: Regions) -> None:
    """Counted in round trips of half a second, beside which what a busy machine adds is little."""
    ways = {way: WAYS[way] for way in ("home>eu", "home>us")}
    regions.internet.change(
        ways={way: {"delay": TRIP / 2, "jitter": 0.0, "loss": 0.0} for way in ways}
    )
    try:
        udp, tcp = set_up(regions, "/udp"), set_up(regions, "/tcp", "--tcp")
    finally:
        regions.internet.change(ways=ways)
    assert round((tcp - udp) / TRIP) <= 3, f"{udp / TRIP:.2f} by UDP, {tcp / TRIP:.2f} by TCP"


def set_up(regions: Regions, path: str, *options: str) -> float:
    """Seconds from the answer until the first echo of a call: connecting, ICE, DTLS and a packet."""
    call = regions.call(*options)
    until(regions.relays_in_use, regions.sessions)
    assert regions.sessions().rows[0].path.endswith(path)
    report = report_of(call)
    assert report["sessions_ok"] == 1, report
    until(lambda: not regions.sessions().rows)
    return float(report["setup_p50_ms"] - report["http_p50_ms"]) / 1000


def test_a_client_whose_network_blocks_udp_falls_back_to_tcp(regions: Regions) -> None:
    blocked = {f"home>{region}": {"blocked": [UDP]} for region in HOST}
    regions.internet.change(ways=blocked)
    try:
        call = regions.call("--tcp")
        until(lambda: regions.relays_in_use() == ["eu"], regions.sessions)
        (row,) = regions.sessions().rows
        assert row.path.endswith("/tcp")
        assert report_of(call)["sessions_ok"] == 1
    finally:
        regions.internet.change(ways={way: {"blocked": []} for way in blocked})
