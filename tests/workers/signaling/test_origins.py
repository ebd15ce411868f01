"""Which pages may call."""

from __future__ import annotations

import pytest

from workers.http.problems import Refused
from workers.signaling.origins import check_origin

OURS = "localhost:8080"


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("", ()),
        ("http://localhost:8080", ()),
        ("https://app.example", ("https://app.example",)),
        ("null", ("*",)),
    ],
)
def test_pages_that_may(origin: str, allowed: tuple[str, ...]) -> None:
    check_origin(origin, OURS, allowed)


@pytest.mark.parametrize(
    "origin", ["null", "https://app.example.evil", "http://localhost:80", "localhost:8080"]
)
def test_pages_that_may_not(origin: str) -> None:
    with pytest.raises(Refused, match="origin"):
        check_origin(origin, OURS, ("https://app.example",))
