from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.problems import ConfigError, KeyPath, Problem, show_path, show_value


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("relay", "listen", 1), "relay.listen[1]"),
        (("ufrag", "keys", "a b"), 'ufrag.keys."a b"'),
        (("a", 0, 1, "b"), "a[0][1].b"),
    ],
)
def test_paths_read_like_toml(path: KeyPath, text: str) -> None:
    assert show_path(path) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (1.5, "1.5"),
        ({}, "a table"),
        ([1], "an array"),
        (date(2024, 1, 2), "2024-01-02"),
        ("it", "'it'"),
        (10**4000, "a very large number"),
    ],
)
def test_values_read_like_toml(value: object, text: str) -> None:
    assert show_value(value) == text


@given(st.text())
def test_text_is_shown_in_one_short_printable_line(text: str) -> None:
    shown = show_value(text)
    assert shown.isprintable()
    assert len(shown) <= 700


def test_an_error_lists_problems_in_the_order_of_the_file() -> None:
    error = ConfigError(
        [
            Problem("f", 9, ("b",), "second"),
            Problem("f", 2, ("a",), "first"),
            Problem("f", None, (), "whole"),
        ]
    )
    assert str(error) == "f: whole\nf:2: a: first\nf:9: b: second"
