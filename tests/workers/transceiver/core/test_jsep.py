"""Our answer to every offer in tests/fixtures/offers, by the rules of JSEP (RFC 9429, 5.3) and BUNDLE."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.ids import Endpoint
from workers.transceiver.core.answer import encode_answer
from workers.transceiver.core.codecs import read_codecs
from workers.transceiver.core.interface import Fingerprint, IceCredentials
from workers.transceiver.core.negotiation import (
    DATA_FORMAT,
    PROTOCOLS,
    Agreement,
    NothingInCommon,
    bundle_group,
    is_offered,
    negotiate,
)
from workers.transceiver.core.sdp import Description, Section, parse_description

OFFERS = sorted((Path(__file__).parents[3] / "fixtures" / "offers").glob("*.sdp"))
LOCAL = IceCredentials("0" * 23, "p" * 24)
OURS = Fingerprint("sha-256", bytes(range(32)))
RELAYS = (Endpoint("192.0.2.1", 3478), Endpoint("2001:db8::1", 3478))

every_offer = pytest.mark.parametrize("path", OFFERS, ids=lambda p: p.stem)


def exchange(text: str) -> tuple[Description, Agreement, Description]:
    offer = parse_description(text)
    agreement = negotiate(offer)
    answer = encode_answer(
        agreement, local=LOCAL, fingerprint=OURS, advertise=RELAYS, origin=7, sctp_init=b""
    )
    return offer, agreement, parse_description(answer)


def accepted(description: Description) -> list[Section]:
    return [section for section in description.sections if section.port]


@every_offer
def test_sections_correspond_one_to_one(path: Path) -> None:
    offer, _, answer = exchange(path.read_bytes().decode())
    for theirs, ours in zip(offer.sections, answer.sections, strict=True):
        assert (ours.kind, ours.protocol, ours.mid) == (theirs.kind, theirs.protocol, theirs.mid)
        assert set(ours.formats) <= set(theirs.formats)
        if not is_offered(theirs):
            assert ours.port == 0


@every_offer
def test_the_first_audio_and_the_first_data_of_its_bundle_are_accepted(path: Path) -> None:
    offer, agreement, answer = exchange(path.read_bytes().decode())
    audio = [s for s in offer.sections if s.kind == "audio" and is_offered(s)]
    data = [s for s in offer.sections if s.kind == "application" and is_offered(s)]
    expected = audio[:1]
    if data and (not audio or data[0].mid in bundle_group(offer, audio[0])):
        expected.append(data[0])
    assert [s.mid for s in accepted(answer)] == [
        s.mid for s in offer.sections if any(s is one for one in expected)
    ]
    assert (agreement.audio is not None) == bool(audio)
    assert (agreement.data is not None) == any(s.kind == "application" for s in accepted(answer))


@every_offer
def test_rejected_sections_say_nothing_but_that(path: Path) -> None:
    _, _, answer = exchange(path.read_bytes().decode())
    for section in answer.sections:
        if section.port == 0:
            assert {a.name for a in section.attributes} <= {"mid", "inactive"}


@every_offer
def test_the_bundle_is_what_is_accepted(path: Path) -> None:
    offer, agreement, answer = exchange(path.read_bytes().decode())
    groups = list(answer.all("group"))
    if not agreement.bundled:
        assert groups == []
        assert len(accepted(answer)) == 1
        return
    (group,) = groups
    assert group.value.split() == ["BUNDLE", *(s.mid for s in accepted(answer))]
    assert set(group.value.split()[1:]) <= set(bundle_group(offer, agreement.accepted[0]))


@every_offer
def test_transport_of_what_is_accepted(path: Path) -> None:
    offer, agreement, answer = exchange(path.read_bytes().decode())
    setups = {a.value for s in offer.sections for a in s.all("setup")}
    role = "active" if setups == {"passive"} else "passive"
    for section in accepted(answer):
        assert section.port == RELAYS[0].port
        assert [a.value for a in section.all("setup")] == [role]
        assert [a.value for a in section.all("ice-ufrag")] == [LOCAL.ufrag]
        assert [a.value for a in section.all("ice-pwd")] == [LOCAL.password]
        (fingerprint,) = section.all("fingerprint")
        assert fingerprint.value.startswith("sha-256 ")
        if section.kind == "audio":
            assert section.has("rtcp-mux")
            assert section.protocol in PROTOCOLS
        else:
            assert section.formats == (DATA_FORMAT,)
            assert section.has("sctp-port")
            assert section.has("max-message-size")
            assert not section.has("rtcp-mux")
    tagged, *others = accepted(answer)
    assert len(list(tagged.all("candidate"))) == len(RELAYS)
    assert tagged.has("end-of-candidates")
    assert not any(section.has("candidate") for section in others)
    assert answer.has("ice-lite")
    (options,) = answer.all("ice-options")
    assert "ice2" in options.value.split()
    assert "trickle" not in options.value.split()
    assert agreement.peer.fingerprints
    assert not agreement.peer.lite


@every_offer
def test_audio_that_was_agreed(path: Path) -> None:
    offer, agreement, answer = exchange(path.read_bytes().decode())
    for section in accepted(answer):
        if section.kind != "audio":
            continue
        assert agreement.audio is not None
        theirs = next(s for s in offer.sections if s.mid == section.mid)
        assert "opus" in [codec.name for codec in agreement.audio.codecs]
        numbers = {codec.payload_type: codec.name for codec in read_codecs(theirs)}
        for codec in agreement.audio.codecs:
            assert numbers[codec.payload_type] == codec.name
        if path.stem.endswith("recvonly"):
            assert section.has("sendonly")
            assert (agreement.audio.sends, agreement.audio.receives) == (True, False)
        else:
            assert section.has("sendrecv")


@every_offer
def test_line_ends_and_levels_do_not_matter(path: Path) -> None:
    text = path.read_bytes().decode()
    lines = text.replace("\r\n", "\n").split("\n")
    _, crlf, _ = exchange("\r\n".join(lines))
    _, lf, _ = exchange("\n".join(lines))
    assert crlf == lf
    strange = ["a=x-unknown:1", "a=extmap-allow-mixed", "a=ice-options:trickle renomination ice2"]
    head = next(n for n, line in enumerate(lines) if line.startswith("m="))
    _, odd, _ = exchange("\r\n".join([*lines[:head], *strange, *lines[head:]]))
    assert (odd.peer, odd.audio, odd.data) == (crlf.peer, crlf.audio, crlf.data)


@pytest.mark.parametrize(
    ("offered", "answered"),
    [("actpass", "passive"), ("active", "passive"), ("passive", "active")],
)
@every_offer
def test_setup_roles(path: Path, offered: str, answered: str) -> None:
    text = path.read_bytes().decode().replace("setup:actpass", f"setup:{offered}")
    _, _, answer = exchange(text)
    assert {a.value for s in accepted(answer) for a in s.all("setup")} == {answered}


@every_offer
def test_holdconn_and_missing_rtcp_mux_are_refused_in_so_many_words(path: Path) -> None:
    text = path.read_bytes().decode()
    with pytest.raises(NothingInCommon, match="holdconn"):
        exchange(text.replace("setup:actpass", "setup:holdconn"))
    if negotiate(parse_description(text)).audio is not None:
        with pytest.raises(NothingInCommon, match="rtcp-mux"):
            exchange(text.replace("a=rtcp-mux\r\n", "").replace("a=rtcp-mux\n", ""))


def test_there_are_offers_of_every_client() -> None:
    clients = {path.stem.partition("-")[0] for path in OFFERS}
    assert clients == {"aiortc", "chromium", "firefox", "gstreamer", "pion", "safari"}
