"""Where hosts and relays are: what no single value can tell."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest

from config.model import Config
from config.places import MOST_NAME, find_place_contradictions, is_country, is_location
from config.problems import show_path

FLEET: dict[str, Any] = {"listen": ["10.0.0.1:3480"]}


def found(config: dict[str, Any]) -> list[str]:
    findings = find_place_contradictions(Config.model_validate(config))
    return [f"{show_path(finding.path)}: {finding.what}" for finding in findings]


def sites(*sites: dict[str, Any]) -> list[str]:
    return found(
        {"steering": {"sites": [{"name": "a", "addresses": ["192.0.2.1:1"]} | s for s in sites]}}
    )


@pytest.mark.parametrize(
    ("site", "problem"),
    [
        ({"addresses": ["192.0.2.1:0"]}, "addresses[0]: port 0 is not in 1-65535"),
        ({"addresses": ["[::]:1"]}, "addresses[0]: :: is no address a client could send to"),
        ({"location": [1.0]}, "location: must be [latitude, longitude]"),
        ({"location": [91.0, 0.0]}, "location: latitude is -90 to 90, longitude -180 to 180"),
        ({"location": [nan, 0.0]}, "location: latitude is -90 to 90, longitude -180 to 180"),
        ({"countries": ["DE", "de"]}, "countries[1]: 'de' is not like DE or US"),
    ],
)
def test_a_site_that_cannot_be(site: dict[str, Any], problem: str) -> None:
    assert sites(site) == [f"steering.sites[0].{problem}"]


def test_a_name_stands_for_one_site() -> None:
    assert sites({}, {"name": "b"}, {}) == ["steering.sites[2].name: 'a' is there twice"]


@pytest.mark.parametrize(
    ("fleet", "problems"),
    [
        ({"site": "frankfurt", "location": [50.1, 8.7], "countries": ["DE"]}, []),
        ({"site": "x" * MOST_NAME}, []),
        ({"site": "x" * (MOST_NAME + 1)}, ["fleet.site: must be at most 64 printable characters"]),
        ({"site": "a\nb"}, ["fleet.site: must be at most 64 printable characters"]),
        ({"location": [50.1]}, ["fleet.location: must be [latitude, longitude]"]),
        ({"countries": ["Germany"]}, ["fleet.countries[0]: 'Germany' is not like DE or US"]),
        ({"nearest": True, "countries": ["DE"]}, []),
        (
            {"nearest": True},
            ["fleet.location: must say where this host is: only then can be told what is nearer"],
        ),
    ],
)
def test_the_place_of_this_host(fleet: dict[str, Any], problems: list[str]) -> None:
    assert found({"fleet": FLEET | fleet}) == problems


def test_a_host_that_is_alone_need_not_say_where() -> None:
    alone = found({"fleet": {"site": "a", "location": [1.0, 1.0]}})
    assert alone == [
        f"fleet.{key}: needs other hosts: fleet.listen or redis.url" for key in ("site", "location")
    ]


def test_what_is_a_location_and_a_country() -> None:
    assert is_location([])
    assert is_location([-90, 180])
    assert not any(map(is_location, ([1.0], [1.0, 2.0, 3.0], [0.0, nan], [inf, 0.0])))
    assert is_country("DE")
    assert not any(map(is_country, ("", "D", "DEU", "de", "DE\n")))
