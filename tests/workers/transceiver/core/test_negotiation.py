"""Offers in, agreements and answers out: every fixture, every refusal, and mutations of both."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.ids import Endpoint
from workers.transceiver.core.answer import dtls_role, encode_answer
from workers.transceiver.core.interface import (
    AudioParameters,
    DataParameters,
    DtlsRole,
    Fingerprint,
    IceCredentials,
)
from workers.transceiver.core.negotiation import Agreement, NothingInCommon, negotiate
from workers.transceiver.core.offer import parse_answer
from workers.transceiver.core.sdp import SdpError, parse_description

OFFERS = Path(__file__).parents[3] / "fixtures" / "offers"
LOCAL = IceCredentials("0" * 23, "p" * 24)
OURS = Fingerprint("sha-256", bytes(range(32)))
RELAYS = (Endpoint("192.0.2.1", 3478), Endpoint("192.0.2.9", 3478), Endpoint("2001:db8::1", 3478))


def offer(name: str = "chromium-audio-data") -> str:
    return (OFFERS / f"{name}.sdp").read_bytes().decode()


def agree(text: str) -> Agreement:
    return negotiate(parse_description(text))


def audio_of(text: str) -> AudioParameters:
    audio = agree(text).audio
    assert audio is not None
    return audio


def answer(text: str, advertise: tuple[Endpoint, ...] = RELAYS) -> str:
    return encode_answer(agree(text), local=LOCAL, fingerprint=OURS, advertise=advertise, origin=77)


def without(text: str, pattern: str) -> str:
    """The text less all lines that match."""
    return "".join(line for line in text.splitlines(keepends=True) if not re.match(pattern, line))


def test_our_own_client_reads_our_answer() -> None:
    reply = answer(offer())
    read = parse_answer(reply)
    assert read.remote == LOCAL
    assert read.fingerprints == (OURS,)
    assert read.dtls_role is DtlsRole.ACTIVE
    assert read.lite
    assert read.candidates == RELAYS
    assert "a=fmtp:111 minptime=10;useinbandfec=1\r\n" in reply


def test_peer_of_a_media_level_and_a_session_level_offer() -> None:
    chromium, firefox = agree(offer()).peer, agree(offer("firefox-audio-data")).peer
    assert len(chromium.credentials.password) == 24
    assert len(firefox.credentials.ufrag) == 8
    for peer in (chromium, firefox):
        assert peer.setup == "actpass"
        assert [f.algorithm for f in peer.fingerprints] == ["sha-256"]
    assert len(agree(offer("aiortc-audio-data")).peer.fingerprints) == 3


def test_everything_at_session_level() -> None:
    text = offer("chromium-audio")
    moved = [line for line in text.splitlines() if re.match("a=(ice-|fingerprint|setup)", line)]
    text = without(text, "a=(ice-|fingerprint|setup)")
    text = text.replace("t=0 0\r\n", "t=0 0\r\n" + "\r\n".join(moved) + "\r\n")
    assert agree(text).peer == agree(offer("chromium-audio")).peer


def test_attributes_of_the_bundle_in_its_tagged_section_only() -> None:
    text = offer("chromium-audio-data")
    head, audio, data = re.split("(?=m=)", text)
    bundled = (
        head.replace("BUNDLE 0 1", "BUNDLE 1 0")
        + data
        + without(audio, "a=(ice-|fingerprint|setup)")
    )
    agreement = agree(bundled)
    assert agreement.peer == agree(text).peer
    reply = parse_description(answer(bundled))
    assert [s.kind for s in reply.sections] == ["application", "audio"]
    assert [s.port for s in reply.sections] == [3478, 3478]


@pytest.mark.parametrize(
    ("theirs", "ours", "sends", "receives"),
    [
        ("sendrecv", "sendrecv", True, True),
        ("sendonly", "recvonly", False, True),
        ("recvonly", "sendonly", True, False),
        ("inactive", "inactive", False, False),
    ],
)
def test_direction_is_mirrored(theirs: str, ours: str, sends: bool, receives: bool) -> None:
    text = offer("chromium-audio").replace("a=sendrecv", f"a={theirs}")
    audio = audio_of(text)
    assert (audio.sends, audio.receives) == (sends, receives)
    reply = answer(text)
    assert f"a={ours}\r\n" in reply
    assert ("a=msid:" in reply) is sends


def test_direction_at_session_level_and_by_default() -> None:
    bare = offer("chromium-audio").replace("a=sendrecv\r\n", "")
    assert audio_of(bare).sends
    assert audio_of(bare).receives
    session = bare.replace("t=0 0\r\n", "t=0 0\r\na=sendonly\r\n")
    assert not audio_of(session).sends


@pytest.mark.parametrize(
    ("setup", "role"),
    [
        ("a=setup:actpass\r\n", DtlsRole.PASSIVE),
        ("a=setup:active\r\n", DtlsRole.PASSIVE),
        ("a=setup:passive\r\n", DtlsRole.ACTIVE),
        ("", DtlsRole.PASSIVE),
    ],
)
def test_setup(setup: str, role: DtlsRole) -> None:
    text = offer("chromium-audio").replace("a=setup:actpass\r\n", setup)
    assert dtls_role(agree(text)) is role
    assert f"a=setup:{role.value}\r\n" in answer(text)


def test_payload_types_and_their_order_are_the_offerers() -> None:
    text = offer("chromium-audio").replace("SAVPF 111 63 9 0 8", "SAVPF 8 0 63 9 45")
    text = text.replace(":111 ", ":45 ")
    assert [(c.name, c.payload_type) for c in audio_of(text).codecs][:3] == [
        ("pcma", 8),
        ("pcmu", 0),
        ("opus", 45),
    ]
    only = negotiate(parse_description(text), ["opus"]).audio
    assert only is not None
    assert [c.name for c in only.codecs] == ["opus", "telephone-event", "telephone-event"]
    with pytest.raises(NothingInCommon, match=r"Served: one audio section with opus/48000/2$"):
        negotiate(parse_description(text.replace("opus", "opal")), ["opus"])


def test_static_payload_types_need_no_rtpmap() -> None:
    text = without(offer("chromium-audio"), "a=rtpmap")
    assert [c.name for c in audio_of(text).codecs][:2] == ["pcmu", "pcma"]


def test_payload_types_that_look_like_rtcp_are_not_used() -> None:
    text = offer("chromium-audio").replace("SAVPF 111 ", "SAVPF 72 ").replace(":111 ", ":72 ")
    assert [c.name for c in audio_of(text).codecs][:2] == ["pcmu", "pcma"]


def test_only_the_first_audio_section_is_accepted() -> None:
    text = offer("chromium-audio")
    audio = text[text.index("m=") :]
    text = text.replace("BUNDLE 0", "BUNDLE 0 1") + audio.replace("a=mid:0", "a=mid:1")
    assert [s.port for s in parse_description(answer(text)).sections] == [3478, 0]


def test_without_a_bundle_and_without_a_mid() -> None:
    text = without(offer("chromium-audio"), "a=(group|mid)")
    reply = answer(text)
    assert "a=group" not in reply
    assert "a=mid" not in reply


def test_a_group_of_nothing_is_no_bundle() -> None:
    assert not agree(offer("chromium-audio").replace("a=group:BUNDLE 0", "a=group:")).bundled


@pytest.mark.parametrize("name", ["chromium-audio", "chromium-audio-video"])
def test_a_line_cut_short_anywhere_is_understood_or_refused(name: str) -> None:
    lines = offer(name).splitlines()
    for index, line in enumerate(lines):
        for end in range(2, len(line)):
            text = "\r\n".join([*lines[:index], line[:end], *lines[index + 1 :], ""])
            with suppress(SdpError, NothingInCommon):
                agree(text)


def test_bundle_only_section_is_offered_though_its_port_is_0() -> None:
    text = offer("chromium-audio").replace("m=audio 9 ", "m=audio 0 ")
    with pytest.raises(NothingInCommon, match=r"audio \(port 0\)"):
        agree(text)
    assert agree(text + "a=bundle-only\r\n").bundled


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("m=audio 9 UDP/TLS/RTP/SAVPF", "m=audio 9 RTP/AVP", "audio over RTP/AVP"),
        ("m=audio", "m=text", "offered: text with opus"),
        ("opus/48000/2", "opus/44100/2", None),
        ("a=rtcp-mux\r\n", "", "rtcp-mux"),
        ("t=0 0\r\n", "t=0 0\r\na=ice-lite\r\n", "lite"),
        ("a=setup:actpass", "a=setup:holdconn", "holdconn"),
        ("a=fingerprint:sha-256", "a=fingerprint:md5", "offered: md5"),
    ],
)
def test_nothing_in_common_names_what_was_offered(old: str, new: str, why: str | None) -> None:
    text = offer("chromium-audio").replace(old, new)
    if why is None:  # G.711 is still common
        assert [c.name for c in audio_of(text).codecs][:2] == ["pcmu", "pcma"]
        return
    with pytest.raises(NothingInCommon, match=why):
        agree(text)


def test_an_offer_of_data_alone_and_of_data_in_an_old_form() -> None:
    agreement = agree(offer("chromium-data"))
    assert (agreement.audio, agreement.bundled) == (None, True)
    assert agreement.data == DataParameters("0", 5000, 262_144)
    old = offer("chromium-data").replace("UDP/DTLS/SCTP webrtc-datachannel", "DTLS/SCTP 5000")
    with pytest.raises(NothingInCommon, match=r"application with 5000\. Served: .*or both"):
        agree(old)


def test_video_is_left_out_beside_data_and_refused_alone() -> None:
    head, _, video = re.split("(?=m=)", offer("chromium-audio-video"))
    with pytest.raises(NothingInCommon, match="offered: video with VP8"):
        agree(head + video)
    data = offer("chromium-data")
    both = head.replace("0 1", "1 0") + video + data[data.index("m=") :]
    reply = parse_description(answer(both))
    assert [(s.kind, bool(s.port)) for s in reply.sections] == [
        ("video", False),
        ("application", True),
    ]


def test_an_offer_of_audio_is_not_answered_without_it() -> None:
    """A call that nobody would hear is worse than a clear refusal, data channel or not."""
    text = offer("chromium-audio-data")
    with pytest.raises(NothingInCommon, match="offered: audio with"):
        agree(re.sub("a=rtpmap:(111|0|8) ", "a=rtpmap:99 ", text).replace(" 0 8 ", " "))


def test_the_group_that_counts_is_that_of_the_section() -> None:
    text = offer("chromium-audio-data").replace("BUNDLE 0 1", "BUNDLE x\r\na=group:BUNDLE 0 1")
    assert agree(text).data is not None


def test_an_offer_of_what_nobody_serves() -> None:
    text = offer("chromium-audio-video")
    with pytest.raises(NothingInCommon, match=r"audio with G722; .*video with VP8, .*Served: one"):
        agree(
            without(text, "a=rtpmap:(111|0|8|63|13|110|126) ").replace(
                "SAVPF 111 63 9 0 8 13 110 126", "SAVPF 9"
            )
        )
    with pytest.raises(NothingInCommon, match="no media section"):
        agree(text[: text.index("m=")])


@pytest.mark.parametrize(
    ("pattern", "new", "why"),
    [
        ("a=ice-ufrag:.*", "a=ice-ufrag:abc", "4-256 ICE characters"),
        ("a=ice-ufrag:.*", "a=ice-ufrag:ab cd", "4-256 ICE characters"),
        ("a=ice-pwd:.*", "a=ice-pwd:" + "x" * 21, "22-256 ICE characters"),
        ("a=ice-pwd:.*", "a=ice-pwd:" + "x" * 257, "22-256 ICE characters"),
        ("a=setup:.*", "a=setup:later", "'later' is unknown"),
        ("a=fingerprint:.*", "a=fingerprint:sha-256 AA:BB", "32 bytes"),
        ("a=fingerprint:.*", "a=fingerprint:sha-256 zz", "<hash>"),
        ("a=rtpmap:111.*", "a=rtpmap:111 opus", "rtpmap"),
    ],
)
def test_malformed_values_name_their_line(pattern: str, new: str, why: str) -> None:
    text = re.sub(pattern, lambda _: new + "\r", offer("chromium-audio"))
    line = text.splitlines().index(new) + 1
    with pytest.raises(SdpError, match=why) as caught:
        agree(text)
    assert caught.value.line == line


@pytest.mark.parametrize("name", ["ice-ufrag", "ice-pwd", "fingerprint"])
def test_missing_attributes_name_the_section(name: str) -> None:
    text = without(offer("chromium-audio"), f"a={name}")
    with pytest.raises(SdpError, match=f"no a={name}") as caught:
        agree(text)
    assert text.splitlines()[caught.value.line - 1].startswith("m=audio")


def test_bad_payload_type_and_repeated_mid() -> None:
    with pytest.raises(SdpError, match="'x' is not a payload type"):
        agree(offer("chromium-audio").replace("SAVPF 111", "SAVPF x"))
    with pytest.raises(SdpError, match="mid '0' is used twice"):
        agree(offer("chromium-audio-data").replace("a=mid:1", "a=mid:0"))


@given(
    name=st.sampled_from([p.stem for p in OFFERS.glob("*.sdp")]),
    edits=st.lists(
        st.tuples(
            st.integers(0, 120),
            st.sampled_from(["drop", "double", "cut", "swap"]),
            st.text("a1:/ =", max_size=9),
        ),
        max_size=5,
    ),
)
def test_a_mutated_offer_is_answered_or_refused(
    name: str, edits: list[tuple[int, str, str]]
) -> None:
    lines = offer(name).split("\r\n")
    for index, edit, text in edits:
        at = index % len(lines)
        match edit:
            case "drop":
                lines = lines[:at] + lines[at + 1 :] or [""]
            case "double":
                lines.insert(at, lines[at])
            case "cut":
                lines[at] = lines[at][: len(lines[at]) // 2] + text
            case _:
                lines[at], lines[-at] = lines[-at], lines[at]
    try:
        reply = answer("\r\n".join(lines))
    except (SdpError, NothingInCommon):
        return
    parse_answer(reply)


# --- data channels --------------------------------------------------------------------------------


def with_data(old: str, new: str) -> str:
    """Chromium's offer of audio and data, its data section changed."""
    head, audio, data = re.split("(?=m=)", offer("chromium-audio-data"))
    assert old in data
    return head + audio + data.replace(old, new)


@pytest.mark.parametrize(
    "name", ["chromium-audio-data", "firefox-audio-data", "safari-audio-data", "aiortc-audio-data"]
)
def test_data_channels_are_accepted_beside_audio(name: str) -> None:
    data = agree(offer(name)).data
    assert data is not None
    assert data.remote_port == 5000
    assert data.peer_max_message >= 65_536


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("UDP/DTLS/SCTP webrtc-datachannel", "DTLS/SCTP 5000"),
        ("webrtc-datachannel", "bfcp"),
        ("m=application 9", "m=application 0"),
        ("a=mid:1", "a=mid:elsewhere"),
    ],
)
def test_other_data_sections_are_rejected(old: str, new: str) -> None:
    text = with_data(old, new)
    assert agree(text).data is None
    assert [s.port for s in parse_description(answer(text)).sections] == [3478, 0]


def test_limits_of_data_channels() -> None:
    text = with_data("a=sctp-port:5000\r\n", "")
    text = re.sub("a=max-message-size:.*\r\n", "", text)
    assert agree(text).data == DataParameters("1", 5000, 65_536)
    for line in ("a=sctp-port:0", "a=sctp-port:65536", "a=sctp-port:x", "a=max-message-size:-1"):
        with pytest.raises(SdpError):
            agree(with_data("a=sctp-port:5000", line))
    assert agree(with_data("a=sctp-port:5000", "a=sctp-port:7")).data.remote_port == 7  # type: ignore[union-attr]
