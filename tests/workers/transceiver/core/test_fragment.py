"""Fragments in and out: the example of RFC 9725, every way to be wrong, and arbitrary text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.ids import Endpoint
from workers.transceiver.core.fragment import encode_fragment, read_fragment, tag_of
from workers.transceiver.core.interface import IceCredentials
from workers.transceiver.core.sdp import MAX_LINES, SdpError

RESTART = (
    "a=ice-options:trickle ice2\r\n"
    "a=group:BUNDLE 0 1\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"
    "a=mid:0\r\n"
    "a=ice-ufrag:ysXw\r\n"
    "a=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k\r\n"
    "a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag ysXw\r\n"
    "a=candidate:473322822 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active generation 0\r\n"
    "a=end-of-candidates\r\n"
)
NEW = IceCredentials("ysXw", "vw5LmwG4y/e6dPP/zAP9Gp5k")
OURS = IceCredentials("0" * 23, "f" * 32)
RELAYS = (Endpoint("192.0.2.9", 3478), Endpoint("2001:db8::9", 3478))


def test_a_restart() -> None:
    fragment = read_fragment(RESTART)
    assert fragment.credentials == NEW
    assert fragment.candidates == (Endpoint("192.0.2.1", 61764),)
    assert fragment.ended
    assert fragment.mids == ("0",)


def test_credentials_at_session_level_and_line_feeds() -> None:
    fragment = read_fragment(
        "a=ice-ufrag:ysXw\na=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k\nm=audio 9 RTP/AVP 0\na=mid:a\n"
        "c=IN IP4 0.0.0.0\na=x-unknown:1\n"
    )
    assert fragment.credentials == NEW
    assert not fragment.ended
    assert fragment.mids == ("a",)


def test_the_same_credentials_under_every_section_are_one() -> None:
    repeated = RESTART + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\n"
    repeated += "a=ice-ufrag:ysXw\r\na=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k\r\n"
    assert read_fragment(repeated).credentials == NEW
    assert read_fragment(repeated).mids == ("0", "1")


def test_trickle_alone() -> None:
    fragment = read_fragment("m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=end-of-candidates\r\n")
    assert fragment.credentials is None
    assert fragment.ended
    assert fragment.candidates == ()


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("", 1, "empty"),
        ("\r\n\r\n", 1, "empty"),
        ("v=0\r\n", 1, "no v= line"),
        (RESTART + "o=- 1 1 IN IP4 0.0.0.0\r\n", 10, "no o= line"),
        ("nonsense\r\n", 1, "not <type>=<value>"),
        (RESTART.replace("a=ice-pwd", "a=x-pwd"), 5, "ice-ufrag without ice-pwd"),
        (RESTART.replace("a=ice-ufrag", "a=x-ufrag"), 6, "ice-pwd without ice-ufrag"),
        (RESTART.replace(":ysXw\r", ":ysX\r"), 5, "ice-ufrag is not 4-256"),
        (RESTART.replace(":vw5L", ":vw ."), 6, "ice-pwd is not 22-256"),
        (RESTART.replace(" 61764", " x"), 7, "not a candidate"),
        (RESTART.replace("m=audio 9", "m=audio"), 3, "not <media>"),
        (RESTART.replace("a=mid:0", "a=mid:a b"), 4, "not a mid"),
        (
            "a=ice-ufrag:abcd\r\na=ice-pwd:" + "p" * 22 + "\r\n" + RESTART,
            7,
            "other credentials than before",
        ),
        ("a=x\r\n" * (MAX_LINES + 1), MAX_LINES + 1, "more than"),
        ("a=x" + "y" * 70_000, 1, "longer than"),
    ],
)
def test_what_is_wrong_names_its_line(text: str, line: int, why: str) -> None:
    with pytest.raises(SdpError, match=why) as caught:
        read_fragment(text)
    assert caught.value.line == line


def test_our_side_stands_under_the_clients_media_line() -> None:
    section = read_fragment(RESTART).section
    assert encode_fragment(section, OURS, RELAYS).split("\r\n") == [
        "a=ice-lite",
        "a=ice-options:ice2",
        "a=group:BUNDLE 0",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "a=mid:0",
        f"a=ice-ufrag:{OURS.ufrag}",
        f"a=ice-pwd:{OURS.password}",
        "a=candidate:1 1 udp 2130706431 192.0.2.9 3478 typ host",
        "a=candidate:2 1 udp 2130706175 2001:db8::9 3478 typ host",
        "a=end-of-candidates",
        "",
    ]


@pytest.mark.parametrize("text", [RESTART, "a=ice-options:trickle\r\n"])
def test_what_we_say_we_can_read(text: str) -> None:
    said = read_fragment(encode_fragment(read_fragment(text).section, OURS, RELAYS))
    assert said.credentials == OURS
    assert said.candidates == RELAYS
    assert said.ended


def test_tags_are_quotable_differ_and_do_not_tell_the_ufrag() -> None:
    one, other = tag_of(OURS), tag_of(NEW)
    assert one != other
    assert one.isalnum()
    assert OURS.ufrag not in one


@given(st.text(), st.integers(0, len(RESTART)))
def test_any_text_is_a_fragment_or_an_error(text: str, at: int) -> None:
    for candidate in (text, RESTART[:at] + text + RESTART[at:], "a=" + text):
        try:
            fragment = read_fragment(candidate)
        except SdpError:
            continue
        encode_fragment(fragment.section, OURS, RELAYS)
