"""Payload formats: which are taken, in what order, with whose numbers; and packets' lengths."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.transceiver.core.codecs import (
    PACKET_TIMES,
    VOICES,
    encode_codecs,
    read_codecs,
    read_packet_time,
    spell,
)
from workers.transceiver.core.sdp import SdpError, Section, parse_description
from workers.transceiver.core.streams.interface import Codec

CHROMIUM = (
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126",
    "a=rtpmap:111 opus/48000/2",
    "a=fmtp:111 minptime=10;useinbandfec=1",
    "a=rtpmap:63 red/48000/2",
    "a=rtpmap:9 G722/8000",
    "a=rtpmap:110 telephone-event/48000",
    "a=rtpmap:126 telephone-event/8000",
)


def section(lines: Sequence[str]) -> Section:
    text = "\r\n".join(["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", *lines, ""])
    return parse_description(text).sections[0]


def names(lines: Sequence[str], allowed: Sequence[str] = VOICES) -> list[tuple[str, int]]:
    return [(c.name, c.payload_type) for c in read_codecs(section(lines), allowed)]


def test_what_a_browser_offers() -> None:
    assert read_codecs(section(CHROMIUM)) == (
        Codec("opus", 111, 48_000, 2, "minptime=10;useinbandfec=1"),
        Codec("pcmu", 0, 8_000),
        Codec("pcma", 8, 8_000),
        Codec("telephone-event", 110, 48_000),
        Codec("telephone-event", 126, 8_000),
    )


def test_the_order_is_the_offerers_but_keys_come_last() -> None:
    first = CHROMIUM[0].replace("111 63 9 0 8 13 110 126", "126 8 110 111 0")
    assert names([first, *CHROMIUM[1:]]) == [
        ("pcma", 8),
        ("opus", 111),
        ("pcmu", 0),
        ("telephone-event", 126),
        ("telephone-event", 110),
    ]


def test_what_the_operator_does_not_allow_is_not_taken() -> None:
    assert names(CHROMIUM, ["pcma"])[0] == ("pcma", 8)
    assert names(CHROMIUM, ["opus"])[:2] == [("opus", 111), ("telephone-event", 110)]
    assert spell(["pcma", "opus"]) == "opus/48000/2, PCMA/8000"


def test_keys_alone_are_no_voice() -> None:
    assert names(["m=audio 9 RTP/SAVPF 101", "a=rtpmap:101 telephone-event/8000"]) == []


def test_the_first_of_two_of_a_kind() -> None:
    assert names(
        ["m=audio 9 RTP/SAVPF 96 97", "a=rtpmap:96 opus/48000/2", "a=rtpmap:97 opus/48000/2"]
    ) == [("opus", 96)]


def test_opus_without_its_channels() -> None:
    codecs = read_codecs(section(["m=audio 9 RTP/SAVPF 96", "a=rtpmap:96 OPUS/48000"]))
    assert codecs == (Codec("opus", 96, 48_000, 2),)


@pytest.mark.parametrize("clock", ["opus/44100/2", "PCMU/16000", "telephone-event/32000"])
def test_another_clock_is_another_codec(clock: str) -> None:
    assert names(["m=audio 9 RTP/SAVPF 96 8", f"a=rtpmap:96 {clock}"]) == [("pcma", 8)]


def test_what_is_written_is_read_again() -> None:
    codecs = read_codecs(section(CHROMIUM))
    written = list(encode_codecs(codecs))
    assert "a=fmtp:110 0-15" in written
    formats = " ".join(str(codec.payload_type) for codec in codecs)
    again = read_codecs(section([f"m=audio 9 RTP/SAVPF {formats}", *written]))
    assert [(c.name, c.payload_type, c.clock_rate) for c in again] == [
        (c.name, c.payload_type, c.clock_rate) for c in codecs
    ]


@pytest.mark.parametrize(
    ("lines", "time"),
    [
        ([], 20),
        (["a=ptime:20"], 20),
        (["a=ptime:10"], 10),
        (["a=ptime:60"], 60),
        (["a=ptime:30"], 20),
        (["a=ptime:120"], 60),
        (["a=ptime:60", "a=maxptime:40"], 40),
        (["a=maxptime:10"], 10),
        (["a=maxptime:3"], 10),
        (["a=ptime:20.5"], 20),
        (["a=ptime:soon", "a=maxptime:-1"], 20),
        (["a=ptime:0", "a=maxptime:0"], 20),
    ],
)
def test_how_long_packets_play(lines: list[str], time: int) -> None:
    assert read_packet_time(section([*CHROMIUM, *lines])) == time


WORDS = st.sampled_from(
    ["opus", "PCMU", "telephone-event", "x", "/48000", "/8000", "/2", " ", "111"]
)
LINES = st.lists(
    st.builds(
        "a={}:{} {}".format,
        st.sampled_from(["rtpmap", "fmtp", "ptime", "maxptime"]),
        st.integers(0, 200) | st.just("x"),
        st.lists(WORDS, max_size=5).map("".join) | st.text("0a/; =", max_size=20),
    ),
    max_size=8,
)


@given(st.lists(st.integers(0, 200) | st.just("y"), min_size=1, max_size=6), LINES)
def test_any_section_has_codecs_of_ours_or_names_its_line(
    formats: list[int | str], lines: list[str]
) -> None:
    with suppress(SdpError):
        offered = section([f"m=audio 9 RTP/SAVPF {' '.join(map(str, formats))}", *lines])
        codecs = read_codecs(offered)
        assert len({(c.name, c.clock_rate) for c in codecs}) == len(codecs)
        assert {str(c.payload_type) for c in codecs} <= set(offered.formats)
        assert not codecs or codecs[0].name in VOICES
        assert read_packet_time(offered) in PACKET_TIMES
        list(encode_codecs(codecs))
