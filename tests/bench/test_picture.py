"""The picture is sound XML and says what the run says, in figures and aloud."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from bench.picture import LABELS, bars, picture

RUN: dict[str, Any] = {
    **{f"{name}_us": 1.5 + position for position, name in enumerate(LABELS)},
    "tandem_native_20k_us": 7.0,
    "coturn_20k_us": 12.25,
    "payload": 160,
    "flows": 1000,
    "cpu": "A <fast> & 'quiet' one",
    "cpus": 2,
    "kernel": "6.18",
}


def test_it_is_xml_with_every_name_and_value() -> None:
    text = picture(RUN)
    said = "".join(ElementTree.fromstring(text).itertext())
    for label in LABELS.values():
        assert label in said
    assert "1.5" in said
    assert "12.2" in said
    assert "A <fast> & 'quiet' one" in said


def test_a_panel_without_figures_is_left_out() -> None:
    assert "20 000 datagrams/s" in picture(RUN)
    assert "5 000 datagrams/s" not in picture(RUN)
    assert bars(RUN, "_5k", ("coturn",)) == []


def test_the_longest_bar_ends_inside() -> None:
    root = ElementTree.fromstring(picture(RUN))
    rects = [each for each in root.iter() if each.tag.endswith("rect") and each.get("x")]
    assert max(float(r.attrib["x"]) + float(r.attrib["width"]) for r in rects) < 960 - 60
