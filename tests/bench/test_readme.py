"""README's figures beside others are those of the runs that are kept in docs/."""

from __future__ import annotations

import json
import re

import pytest

from tests.support.appliance import TREE

ROWS = {
    "relay, a forwarded datagram": (
        "relay-bench.json",
        1,
        ("tandem_native_us", "c_pack_us", "c_mmsg_us", "nginx_us", "coturn_us"),
    ),
    "transceiver, an echoed Opus packet": (
        "transceiver-bench.json",
        1,
        ("tandem_us_per_echo", "pion_us_per_echo", "janus_us_per_echo", "aiortc_us_per_echo"),
    ),
    "the same, 200 calls": (
        "transceiver-bench.json",
        1,
        ("tandem_us_per_echo_200", "pion_us_per_echo_200", "janus_us_per_echo_200"),
    ),
    "memory of a call, ours among 300": (
        "transceiver-bench.json",
        0,
        (
            "kb_per_session",
            "janus_kb_per_session",
            "aiortc_kb_per_session",
            "pion_kb_per_session",
        ),
    ),
}


@pytest.mark.parametrize("begin", ROWS)
def test_a_row_is_that_of_the_run(begin: str) -> None:
    file, digits, names = ROWS[begin]
    measured = json.loads((TREE / "docs" / file).read_text())
    (row,) = re.findall(rf"^\| {begin}.*$", (TREE / "README.md").read_text(), re.MULTILINE)
    figures = [float(text) for text in re.findall(r"\d+\.\d+|\d+", row.split("|", 2)[2])]
    assert figures == [round(measured[name], digits) for name in names]
