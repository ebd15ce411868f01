"""A name that points here but is not ours does not read what is on loopback."""

from __future__ import annotations

import pytest

from workers.http.hosts import is_local


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost",
        "localhost:9090",
        "127.0.0.1:9090",
        "127.0.0.1",
        "[::1]:9090",
        "[::1]",
    ],
)
def test_ways_to_say_this_machine(host: str) -> None:
    assert is_local(host)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9090", "127.0.0.1.evil.example:9090", "localhost.evil:1"]
)
def test_names_of_others(host: str) -> None:
    assert not is_local(host)
