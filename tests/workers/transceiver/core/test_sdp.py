"""The grammar: bounded, line numbers right, arbitrary text is a value or an SdpError."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.transceiver.core.sdp import (
    MAX_BYTES,
    MAX_LINE,
    MAX_LINES,
    MAX_SECTIONS,
    Attribute,
    SdpError,
    parse_description,
)

OFFERS = sorted((Path(__file__).parents[3] / "fixtures" / "offers").glob("*.sdp"))
HEAD = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"


@pytest.mark.parametrize("path", OFFERS, ids=lambda p: p.stem)
def test_every_recorded_offer_parses(path: Path) -> None:
    description = parse_description(path.read_bytes().decode())
    assert description.sections
    assert all(section.mid for section in description.sections)
    assert description.has("group") or path.stem in ("gstreamer-audio", "gstreamer-audio-data")


def test_levels_and_line_numbers() -> None:
    text = (
        HEAD
        + "a=ice-lite\r\nm=audio 9/2 UDP/TLS/RTP/SAVPF 111 0\r\nc=IN IP4 0.0.0.0\r\na=mid:a\r\n"
    )
    description = parse_description(text)
    assert description.attributes == (Attribute(5, "ice-lite", ""),)
    (section,) = description.sections
    assert (section.kind, section.port, section.protocol) == ("audio", 9, "UDP/TLS/RTP/SAVPF")
    assert section.formats == ("111", "0")
    assert section.line == 6
    assert section.attributes == (Attribute(8, "mid", "a"),)


def test_line_feeds_alone_and_missing_last_line_end_are_accepted() -> None:
    crlf = HEAD + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
    plain = crlf.replace("\r\n", "\n")
    assert parse_description(plain) == parse_description(crlf)
    assert parse_description(plain.rstrip()) == parse_description(crlf)
    assert parse_description(crlf + "\r\n\r\n") == parse_description(crlf)


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("", 1, "v=0"),
        ("\r\n", 1, "v=0"),
        ("v=1\r\n", 1, "v=0"),
        ("v=0\r\n", 2, "o="),
        ("v=0\r\ns=-\r\n", 2, "o="),
        (HEAD + "nonsense\r\n", 5, "'nonsense'"),
        (HEAD + "x=1\r\n", 5, "'x=1'"),
        (HEAD + "\r\na=mid:0\r\n", 5, "''"),
        (HEAD + "a=\r\n", 5, "needs a name"),
        (HEAD + "a=b\x00c\r\n", 5, "control"),
        (HEAD + "a=b\rc\r\n", 5, "control"),
        (HEAD + "a=" + "b" * MAX_LINE + "\r\n", 5, "longer than"),
        (HEAD + "m=audio\r\n", 5, "'audio'"),
        (HEAD + "m=audio x UDP/TLS/RTP/SAVPF 0\r\n", 5, "not <media>"),
        (HEAD + "m=audio ٩ UDP/TLS/RTP/SAVPF 0\r\n", 5, "not <media>"),
        (HEAD + "m=audio 65536 UDP/TLS/RTP/SAVPF 0\r\n", 5, "65536"),
        (HEAD + "m=audio 9 UDP/TLS/RTP/SAVPF\r\n", 5, "not <media>"),
        (HEAD + "m=audio 9 UDP//X 0\r\n", 5, "not <media>"),
        (HEAD + "m=audio 9 UDP/TLS/RTP/SAVPF 0 (\r\n", 5, "format"),
        (HEAD + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:a b\r\n", 6, "mid"),
        (HEAD + "a=x\r\n" * MAX_LINES, MAX_LINES + 1, "more than"),
        ("v" * (MAX_BYTES + 1), 1, "longer than"),
        ("é" * (MAX_BYTES // 2 + 1), 1, "longer than"),
        (HEAD + "m=audio 9 X 0\r\n" * (MAX_SECTIONS + 1), 5 + MAX_SECTIONS, "more than"),
    ],
)
def test_errors_name_the_line(text: str, line: int, why: str) -> None:
    with pytest.raises(SdpError) as caught:
        parse_description(text)
    assert caught.value.line == line
    assert why in caught.value.why
    assert str(caught.value).startswith(f"line {line}: ")


@given(st.text())
def test_any_text_is_a_description_or_an_error(text: str) -> None:
    for candidate in (text, HEAD + text):
        line = 1
        try:
            parse_description(candidate)
        except SdpError as error:
            line = error.line
        assert 1 <= line <= candidate.count("\n") + 2
