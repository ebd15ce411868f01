"""The picture of set-up says what its run says, for each way and delay."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from bench.setup_picture import bars, picture

RUN: dict[str, Any] = {
    "rtt0_connected_ms": 19.1,
    "rtt0_snap_connected_ms": 19.2,
    "rtt0_sped_snap_connected_ms": 19.4,
    "rtt100_plain_connected_ms": 314.0,
    "rtt100_snap_connected_ms": 318.0,
    "rtt100_sped_snap_connected_ms": 267.0,
    "rtt100_plain_datachannel_ms": 420.0,
    "calls": 5,
    "cpu": "One",
    "cpus": 2,
    "kernel": "6.18",
}


def test_each_way_is_found_by_its_name() -> None:
    assert [bar.value for bar in bars(RUN, "rtt0", "connected")] == [19.1, 19.2, 19.4]
    assert [bar.value for bar in bars(RUN, "rtt100", "connected")] == [314.0, 318.0, 267.0]
    assert [bar.value for bar in bars(RUN, "rtt100", "datachannel")] == [420.0]
    assert bars(RUN, "rtt0", "datachannel") == []


def test_the_picture_is_xml_and_names_how_many_calls() -> None:
    said = "".join(ElementTree.fromstring(picture(RUN)).itertext())
    assert "medians of 5 calls" in said
    assert "267.0" in said
