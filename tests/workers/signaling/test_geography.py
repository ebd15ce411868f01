"""A database of where addresses are: read, read again, and never fatal."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import structlog
from mmdb_writer import MMDBWriter
from netaddr import IPSet  # type: ignore[import-untyped]

from workers.signaling.geography import Geography
from workers.signaling.whereabouts import Location, Whereabouts

BERLIN = {
    "location": {"latitude": 52.5, "longitude": 13.4},
    "country": {"iso_code": "DE"},
}


def write(path: Path, networks: dict[str, Any], version: int = 6) -> None:
    writer = MMDBWriter(version, "Test-City", ipv4_compatible=version == 6, float_type="f64")
    for network, record in networks.items():
        writer.insert_network(IPSet([network]), record)
    fresh = path.with_suffix(".new")
    writer.to_db_file(str(fresh))
    fresh.replace(path)


def geography(path: Path) -> Geography:
    return Geography(path, structlog.get_logger())


def test_addresses_of_both_families(tmp_path: Path) -> None:
    file = tmp_path / "city.mmdb"
    write(file, {"192.0.2.0/24": BERLIN, "2001:db8::/32": BERLIN, "198.51.100.0/24": {"x": "y"}})
    atlas = geography(file)
    berlin = Whereabouts(Location(52.5, 13.4), "DE")
    assert atlas.find(ip_address("192.0.2.77")) == berlin
    assert atlas.find(ip_address("2001:db8:1::1")) == berlin
    assert atlas.find(ip_address("198.51.100.1")) == Whereabouts()
    assert atlas.find(ip_address("203.0.113.1")) == Whereabouts()


def test_a_database_of_countries_and_of_ipv4_alone(tmp_path: Path) -> None:
    file = tmp_path / "country.mmdb"
    write(file, {"192.0.2.0/24": {"country": {"iso_code": "DE"}}}, version=4)
    assert geography(file).find(ip_address("192.0.2.1")) == Whereabouts(country="DE")
    assert geography(file).find(ip_address("2001:db8::1")) == Whereabouts()


def test_records_of_another_shape_say_nothing(tmp_path: Path) -> None:
    file = tmp_path / "odd.mmdb"
    write(
        file,
        {
            "192.0.2.0/24": {"location": "here", "country": "there"},
            "198.51.100.0/24": {"location": {"latitude": "1", "longitude": 2.0}},
            "203.0.113.0/24": "somewhere",
        },
    )
    for host in ("192.0.2.1", "198.51.100.1", "203.0.113.1"):
        assert geography(file).find(ip_address(host)) == Whereabouts()


def test_a_new_file_counts_and_a_broken_one_does_not(tmp_path: Path) -> None:
    file = tmp_path / "city.mmdb"
    atlas = geography(file)
    here = ip_address("192.0.2.1")
    assert atlas.find(here) == Whereabouts()
    write(file, {"192.0.2.0/24": BERLIN})
    assert atlas.find(here).country == "DE"
    file.write_bytes(b"not a database")
    assert atlas.find(here).country == "DE"
    write(file, {"192.0.2.0/24": {"country": {"iso_code": "FR"}}})
    assert atlas.find(here) == Whereabouts(country="FR")
    file.unlink()
    assert atlas.find(here).country == "FR"
