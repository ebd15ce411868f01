"""The transceiver's picture says what its run says, and leaves out what that has not."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from bench.transceiver_picture import LABELS, bars, picture

RUN: dict[str, Any] = {
    **{f"{name}_us_per_echo": 10.0 * (n + 1) for n, name in enumerate(LABELS)},
    **{f"{name}_capacity": 300 * (n + 1) for n, name in enumerate(LABELS)},
    "tandem_kb_per_session": 3.0,
    "kb_per_session": 92.4,
    "pion_kb_per_session": 391.0,
    "tandem_us_per_echo_200": 12.0,
    "cpu": "A <fast> one",
    "cpus": 2,
    "kernel": "6.18",
}


def test_every_contender_and_value_is_in_it() -> None:
    said = "".join(ElementTree.fromstring(picture(RUN)).itertext())
    for label in LABELS.values():
        assert label in said
    assert "40.0" in said
    assert "1 200" in said
    assert "A <fast> one" in said


def test_memory_is_that_of_many_calls() -> None:
    values = {bar.label: bar.value for bar in bars(RUN, "kb_per_session", 0)}
    assert values == {"Tandem": 92.4, "Pion": 391.0}


def test_what_the_run_has_not_or_of_one_alone_is_left_out() -> None:
    said = "".join(ElementTree.fromstring(picture(RUN)).itertext())
    assert "set-up" not in said
    assert "200 calls" not in said
