"""The relay bench: its arithmetic, and a small run with the forwarders that need nothing installed."""

from __future__ import annotations

import os
import shutil

import pytest

from bench.native import program
from bench.placement import Placement
from bench.relay import NAMES, SIZE, Point, Sample, fields, sample, slow_baselines
from bench.relay_clients import Clients, Trip
from bench.relay_contenders import contenders


def taken(cost: float, p50: float = 100.0) -> Sample:
    return Sample(cost, 1000.0, 0.5, Trip(10, 10, p50, 2 * p50))


def samples(flows: tuple[int, ...] = (1000,)) -> dict[Point, list[Sample]]:
    found: dict[Point, list[Sample]] = {}
    for position, name in enumerate(NAMES):
        cost = 2.0 + position
        for count in flows:
            found[name, "saturated", SIZE, count] = [taken(cost - 1), taken(cost), taken(cost + 9)]
        for rate in ("5k", "20k"):
            found[name, rate, SIZE, 1000] = [taken(10 * cost)]
    for rate in ("5k", "20k"):
        found["direct", rate, SIZE, 1000] = [taken(1.0, p50=30.0)]
    return found


def test_a_figure_is_the_median_of_its_rounds() -> None:
    out = fields(samples())
    assert out["tandem_native_us"] == 2.0
    assert out["tandem_native_best_us"] == 1.0
    assert out["native_rounds"] == 3
    assert out["coturn_20k_us"] == 50.0


def test_ratios_are_those_of_the_figures_printed() -> None:
    out = fields(samples())
    assert out["native_to_c_pack"] == round(2 / 3, 3)
    assert out["native_to_c_mmsg"] == 0.5
    assert out["native_to_coturn"] == 0.4
    assert out["native_to_c_mmsg_20k"] == 0.5


def test_what_redis_costs_is_the_middle_of_the_ratios_of_rounds() -> None:
    found = samples()
    found["tandem_redis", "saturated", SIZE, 1000] = [taken(1.02), taken(2.0), taken(11.0)]
    assert fields(found)["redis_to_native"] == 1.0


def test_added_latency_is_without_what_the_load_takes_itself() -> None:
    out = fields(samples())
    assert out["tandem_native_20k_p50_us"] == 100
    assert out["tandem_native_20k_added_p50_us"] == 70
    assert out["coturn_20k_added_p99_us"] == 140


def test_every_point_has_a_field_when_there_are_several() -> None:
    out = fields(samples((100, 1000)))
    assert out["c_mmsg_160b_100_us"] == out["c_mmsg_160b_1000_us"] == out["c_mmsg_us"]
    assert "c_mmsg_160b_1000_us" not in fields(samples())


def test_all_values_are_flat() -> None:
    assert all(isinstance(value, int | float | str) for value in fields(samples()).values())


def test_a_slow_baseline_is_named_by_its_best_round() -> None:
    assert (
        slow_baselines({"nginx_best_us": 14.0, "coturn_best_us": 15.5, "c_mmsg_best_us": 5.0}) == []
    )
    (found,) = slow_baselines({"nginx_best_us": 14.2, "nginx_us": 9.0})
    assert found.startswith("nginx took 14.2 us")


@pytest.mark.process
@pytest.mark.skipif(not shutil.which("gcc"), reason="builds the bench's programs")
@pytest.mark.parametrize("name", ["c_mmsg", "c_pack"])
def test_flows_of_one_socket_are_forwarded_and_counted(name: str) -> None:
    for each in ("load", "echo", "forward"):
        program(each)
    allowed = sorted(os.sched_getaffinity(0))
    place = Placement(allowed[0], allowed[-1])
    with contenders(place, (name,)) as (one,), Clients(70, one.address) as clients:
        one.associate(clients)
        found = sample(one, clients, place, size=200, seconds=0.2, rate=2000)
    assert found.trip.received == found.trip.sent > 0
    assert found.cost > 0
