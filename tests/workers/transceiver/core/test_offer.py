"""The client's side: its offer is acceptable to ours, and it reads answers of others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.ids import Endpoint
from workers.transceiver.core.answer import encode_answer
from workers.transceiver.core.interface import Codec, DtlsRole, Fingerprint, IceCredentials
from workers.transceiver.core.negotiation import NothingInCommon, negotiate
from workers.transceiver.core.offer import OPUS, PCMU, build_offer, parse_answer
from workers.transceiver.core.sctp.snap import make_init
from workers.transceiver.core.sdp import SdpError, parse_description

CREDENTIALS = IceCredentials("abcd", "p" * 22)
PRINT = Fingerprint("sha-256", bytes(32))
ANSWER = (
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-lite\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\n"
    "a=ice-ufrag:wxyz\r\na=ice-pwd:" + "q" * 22 + "\r\na=setup:passive\r\n"
    "a=fingerprint:SHA-256 " + ":".join(["0a"] * 32) + "\r\n"
)


def test_our_own_offer_is_agreeable() -> None:
    text = build_offer(CREDENTIALS, PRINT, origin=5, codecs=(PCMU, OPUS), receives=False)
    agreement = negotiate(parse_description(text))
    assert agreement.bundled
    assert agreement.peer.credentials == CREDENTIALS
    assert agreement.peer.fingerprints == (PRINT,)
    assert agreement.audio is not None
    assert [c.name for c in agreement.audio.codecs] == ["pcmu", "opus"]
    assert (agreement.audio.sends, agreement.audio.receives) == (False, True)


def test_our_source_is_named_if_we_know_it() -> None:
    text = build_offer(CREDENTIALS, PRINT, origin=5, ssrc=77)
    assert "a=ssrc:77 " in text
    assert "a=ssrc" not in build_offer(CREDENTIALS, PRINT, origin=5)


@pytest.mark.parametrize(("codecs", "data"), [((OPUS,), True), ((), True), ((OPUS,), False)])
def test_an_offer_of_data_and_its_answer(codecs: tuple[Codec, ...], data: bool) -> None:
    agreement = negotiate(
        parse_description(build_offer(CREDENTIALS, PRINT, origin=5, codecs=codecs, data=data))
    )
    assert (agreement.audio is not None, agreement.data is not None) == (bool(codecs), data)
    text = encode_answer(
        agreement,
        local=CREDENTIALS,
        fingerprint=PRINT,
        advertise=(Endpoint("192.0.2.1", 3478),),
        origin=1,
    )
    answer = parse_answer(text)
    assert answer.audio == agreement.audio
    assert (answer.data is not None) == data
    assert answer.candidates == (Endpoint("192.0.2.1", 3478),)


def test_an_answer_with_all_sorts_of_candidates() -> None:
    answer = parse_answer(
        ANSWER
        + "a=candidate:1 1 UDP 100 192.0.2.1 5000 typ host generation 0\r\n"
        + "a=candidate:2 1 udp 200 2001:DB8::1 5000 typ host\r\n"
        + "a=candidate:3 1 tcp 300 192.0.2.1 5000 typ host tcptype passive\r\n"
        + "a=candidate:4 2 udp 300 192.0.2.1 5001 typ host\r\n"
        + "a=candidate:5 1 udp 300 some-name.local 5001 typ host\r\n"
        + "a=candidate:6 1 udp 50 192.0.2.1 5000 typ srflx raddr 10.0.0.1 rport 9\r\n"
    )
    assert answer.candidates == (Endpoint("2001:db8::1", 5000), Endpoint("192.0.2.1", 5000))
    assert answer.dtls_role is DtlsRole.ACTIVE
    assert answer.lite


@pytest.mark.parametrize(
    ("text", "error", "why"),
    [
        (ANSWER.replace("passive", "actpass"), SdpError, "active or passive"),
        (ANSWER.replace("m=audio 9", "m=audio 0"), NothingInCommon, "no section of audio or data"),
        (ANSWER.replace("opus", "G722"), NothingInCommon, "no codec"),
        (ANSWER + "a=candidate:1 1 udp\r\n", SdpError, "line 12: not a candidate"),
        (ANSWER + "a=candidate:1 1 udp x 192.0.2.1 9 typ host\r\n", SdpError, "not a candidate"),
        (ANSWER + "a=candidate:1 1 udp 1 192.0.2.1 99999 typ host\r\n", SdpError, "port 99999"),
        (ANSWER + "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n" * 65, SdpError, "more than 64"),
    ],
)
def test_refused_answers(text: str, error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        parse_answer(text)


@given(st.text())
def test_any_text_is_an_answer_or_an_error(text: str) -> None:
    for candidate in (text, ANSWER + text, ANSWER + "a=candidate:" + text):
        try:
            parse_answer(candidate)
        except (SdpError, NothingInCommon):
            continue


def test_quick_set_up_is_offered_if_asked_for() -> None:
    init = make_init(lambda count: bytes(range(1, count + 1)))
    text = build_offer(CREDENTIALS, PRINT, origin=5, data=True, sped=True, sctp_init=init)
    agreement = negotiate(parse_description(text))
    assert agreement.peer.sped == ("sped",)
    assert agreement.data is not None
    assert agreement.data.their_init == init
    answer = encode_answer(
        agreement,
        local=CREDENTIALS,
        fingerprint=PRINT,
        advertise=(Endpoint("192.0.2.1", 1),),
        origin=1,
        sctp_init=init,
    )
    read = parse_answer(answer)
    assert read.sped
    assert read.data is not None
    assert read.data.their_init == init
    plain = build_offer(CREDENTIALS, PRINT, origin=5, data=True)
    assert "sped" not in plain
    assert "sctp-init" not in plain


@pytest.mark.parametrize(
    ("offered", "understood"),
    [
        ("trickle sped googspedv1", "ice2 sped googspedv1"),
        ("goog-sped-v1", "ice2 goog-sped-v1"),
        ("trickle SPED spedx", "ice2"),
        ("", "ice2"),
    ],
)
def test_the_answer_repeats_the_options_that_mean_dtls_in_checks(
    offered: str, understood: str
) -> None:
    text = build_offer(CREDENTIALS, PRINT, origin=5).replace(
        "a=ice-options:ice2", f"a=ice-options:{offered}"
    )
    answer = encode_answer(
        negotiate(parse_description(text)),
        local=CREDENTIALS,
        fingerprint=PRINT,
        advertise=(Endpoint("192.0.2.1", 1),),
        origin=1,
    )
    assert f"a=ice-options:{understood}\r\n" in answer
