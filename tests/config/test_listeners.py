"""Addresses by themselves; what keys say of them is in the tests of checks."""

from __future__ import annotations

import pytest

from config.ids import Endpoint
from config.listeners import advertised, is_same_listener, listeners, public


def at(*texts: str) -> list[Endpoint]:
    return [Endpoint.parse(text) for text in texts]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1:5", "10.0.0.1:5", True),
        ("10.0.0.1:5", "0.0.0.0:5", True),
        ("[::]:5", "[::1]:5", True),
        ("10.0.0.1:5", "10.0.0.2:5", False),
        ("10.0.0.1:5", "10.0.0.1:6", False),
        ("10.0.0.1:5", "[::]:5", False),
        ("10.0.0.1:0", "10.0.0.1:0", False),
    ],
)
def test_which_two_cannot_both_be_bound(one: str, other: str, same: bool) -> None:
    assert is_same_listener(*at(one, other)) == is_same_listener(*at(other, one)) == same


def test_what_is_fine_gives_nothing() -> None:
    fine = at("10.0.0.1:5", "[2001:db8::1]:5", "169.254.1.1:5")
    for check in (listeners, public, advertised):
        assert not list(check(("x",), fine))


def test_findings_name_the_entry() -> None:
    odd = at("10.0.0.1:5", "[fe80::1]:5", "10.0.0.1:5")
    paths = {
        check: [f.path for f in check(("x",), odd)] for check in (listeners, public, advertised)
    }
    assert paths[listeners] == [("x", 2)]
    assert paths[public] == [("x", 2), ("x", 1)]
    assert paths[advertised] == [("x", 0), ("x", 1)]
