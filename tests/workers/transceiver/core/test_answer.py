"""The answer's lines; what it agrees to is tested with `negotiation`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from config.ids import Endpoint, Transport
from workers.transceiver.core.answer import encode_answer, encode_candidates
from workers.transceiver.core.candidates import read_candidates
from workers.transceiver.core.interface import Fingerprint, IceCredentials
from workers.transceiver.core.negotiation import negotiate
from workers.transceiver.core.sdp import Attribute, Block, parse_description

OFFERS = Path(__file__).parents[3] / "fixtures" / "offers"
LOCAL = IceCredentials("0" * 23, "p" * 24)
OURS = Fingerprint("sha-256", bytes(range(32)))
RELAYS = (Endpoint("192.0.2.1", 3478), Endpoint("192.0.2.9", 3478), Endpoint("2001:db8::1", 3478))


def offer(name: str = "chromium-audio-data") -> str:
    return (OFFERS / f"{name}.sdp").read_bytes().decode()


def answer(text: str, advertise: tuple[Endpoint, ...] = RELAYS) -> str:
    agreement = negotiate(parse_description(text))
    return encode_answer(
        agreement, local=LOCAL, fingerprint=OURS, advertise=advertise, origin=77, ssrc=4_000_000_007
    )


def test_the_whole_answer_to_chromium() -> None:
    assert answer(offer(), RELAYS[:1]).split("\r\n") == [
        "v=0",
        "o=- 77 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0 1",
        "a=ice-lite",
        "a=ice-options:ice2",
        "a=msid-semantic: WMS *",
        "m=audio 3478 UDP/TLS/RTP/SAVPF 111 0 8 110 126",
        "c=IN IP4 192.0.2.1",
        "a=mid:0",
        "a=sendrecv",
        "a=msid:tandem tandem-audio",
        "a=ssrc:4000000007 msid:tandem tandem-audio",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        "a=rtpmap:111 opus/48000/2",
        "a=fmtp:111 minptime=10;useinbandfec=1",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:110 telephone-event/48000",
        "a=fmtp:110 0-15",
        "a=rtpmap:126 telephone-event/8000",
        "a=fmtp:126 0-15",
        "a=ptime:20",
        "a=ice-ufrag:" + "0" * 23,
        "a=ice-pwd:" + "p" * 24,
        "a=fingerprint:sha-256 " + ":".join(f"{n:02X}" for n in range(32)),
        "a=setup:passive",
        "a=candidate:1 1 udp 2130706431 192.0.2.1 3478 typ host",
        "a=end-of-candidates",
        "m=application 3478 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 192.0.2.1",
        "a=mid:1",
        "a=sctp-port:5000",
        "a=max-message-size:262144",
        "a=ice-ufrag:" + "0" * 23,
        "a=ice-pwd:" + "p" * 24,
        "a=fingerprint:sha-256 " + ":".join(f"{n:02X}" for n in range(32)),
        "a=setup:passive",
        "",
    ]


def test_addresses_of_one_host_share_a_foundation() -> None:
    lines = list(encode_candidates((Endpoint("192.0.2.1", 1), Endpoint("192.0.2.1", 2))))
    assert [line.split()[0] for line in lines] == ["a=candidate:1", "a=candidate:1"]


def test_candidates_rank_by_order_of_advertisement() -> None:
    lines = re.findall(r"a=candidate:.*", answer(offer()))
    parts = [line.strip().split() for line in lines]
    assert [p[4] for p in parts] == [r.host for r in RELAYS]
    priorities = [int(p[3]) for p in parts]
    assert priorities == sorted(priorities, reverse=True)
    assert len(set(priorities)) == len(priorities)
    assert priorities[0] == 2130706431
    assert len({p[0] for p in parts}) == 3
    assert all(p[-2:] == ["typ", "host"] for p in parts)


def test_tcp_comes_after_all_of_udp() -> None:
    udp = (Endpoint("192.0.2.1", 3478), Endpoint("2001:db8::1", 3478))
    tcp = (Endpoint("192.0.2.1", 3478), Endpoint("192.0.2.2", 443))
    lines = list(encode_candidates(udp, tcp))
    parts = [line.removeprefix("a=candidate:").split() for line in lines]
    assert [(p[2], p[4], p[5]) for p in parts] == [
        ("udp", "192.0.2.1", "3478"),
        ("udp", "2001:db8::1", "3478"),
        ("tcp", "192.0.2.1", "3478"),
        ("tcp", "192.0.2.2", "443"),
    ]
    priorities = [int(p[3]) for p in parts]
    assert priorities == sorted(set(priorities), reverse=True)
    # RFC 6544, 4.2: 2^24 type + 2^8 (2^13 direction + other) + 256 - component.
    assert priorities[2] == (126 << 24) + ((4 << 13) + 8191 << 8) + 255
    assert len({p[0] for p in parts}) == 4  # a foundation is of one transport
    assert all(line.endswith(" typ host tcptype passive") for line in lines[2:])
    block = Block(1, tuple(Attribute(1, "candidate", line[12:]) for line in lines))
    assert read_candidates(block) == udp
    assert read_candidates(block, transport=Transport.TCP) == tcp


def test_ipv6_default_destination() -> None:
    assert "c=IN IP6 2001:db8::1\r\n" in answer(offer(), RELAYS[2:])


@pytest.mark.parametrize("path", sorted(OFFERS.glob("*.sdp")), ids=lambda path: path.stem)
def test_it_accepts_no_feedback_and_no_extension_whatever_is_offered(path: Path) -> None:
    for section in parse_description(answer(path.read_bytes().decode())).sections:
        accepted = {attribute.name for attribute in section.attributes}
        assert not accepted & {"rtcp-fb", "extmap", "rtcp-xr", "extmap-allow-mixed"}


def test_reduced_size_is_accepted_only_where_it_was_offered() -> None:
    assert "a=rtcp-rsize\r\n" in answer(offer())
    assert "rsize" not in answer(offer().replace("a=rtcp-rsize\r\n", ""))
