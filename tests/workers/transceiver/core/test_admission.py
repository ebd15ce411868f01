"""What a session is born with, and who is turned away."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import msgspec
import pytest

from config.ids import Endpoint
from ipc.messages.sessions import Problem
from tests.support.transceiver import KEYS, PUBLIC, ROUTE
from workers.transceiver.core.admission import Admitted, Settings, admit
from workers.transceiver.core.interface import (
    Create,
    DtlsRole,
    Fingerprint,
    IceRole,
    Refused,
)
from workers.transceiver.core.offer import parse_answer
from workers.transceiver.core.sctp.snap import introduce, parse_sctp_init

OFFERS = Path(__file__).parents[3] / "fixtures" / "offers"
OFFER = (OFFERS / "firefox-audio-data.sdp").read_text()
SETTINGS = Settings(
    route=ROUTE,
    keys=KEYS,
    fingerprint=Fingerprint("sha-256", bytes(32)),
    advertise=(PUBLIC, Endpoint("2001:db8::1", 3478)),
    backends=frozenset({"echo", "assistant"}),
    max_sessions=1,
    connect_timeout=11.0,
    consent_timeout=12.0,
)


def admitted(offer: str = OFFER) -> Admitted:
    result = admit(Create(1, offer, "echo"), SETTINGS, Random(4).randbytes)
    assert isinstance(result, Admitted)
    return result


def test_parameters_follow_from_offer_and_settings() -> None:
    session = admitted()
    parameters = session.parameters
    assert parameters.ice_role is IceRole.CONTROLLED
    assert parameters.dtls_role is DtlsRole.PASSIVE
    assert parameters.remote.ufrag == "28cd5848"
    assert (parameters.connect_timeout, parameters.consent_timeout) == (11.0, 12.0)
    assert parameters.audio is not None
    assert parameters.audio.codecs[0].parameters == (
        "maxplaybackrate=48000;stereo=1;useinbandfec=1"
    )
    assert f"a=ssrc:{parameters.ssrc} msid:" in session.answer  # a client may play nothing else
    answer = parse_answer(session.answer)
    assert answer.remote == parameters.local
    assert answer.fingerprints == (SETTINGS.fingerprint,)
    assert answer.candidates == SETTINGS.advertise
    assert KEYS.decode(parameters.local.ufrag) == ROUTE


def test_an_answer_names_the_relays_that_signaling_has_chosen() -> None:
    chosen = (Endpoint("203.0.113.9", 3478), Endpoint("203.0.113.8", 3478))
    result = admit(Create(1, OFFER, "echo", advertise=chosen), SETTINGS, Random(4).randbytes)
    assert isinstance(result, Admitted)
    assert parse_answer(result.answer).candidates == chosen
    assert result.parameters.advertise == chosen  # and a restart the same


@pytest.mark.parametrize("chosen", [(), (Endpoint("203.0.113.9", 3478),)])
def test_tcp_is_where_udp_is_unless_it_has_addresses_of_its_own(
    chosen: tuple[Endpoint, ...],
) -> None:
    event = Create(1, OFFER, "echo", advertise=chosen)
    own = (Endpoint("192.0.2.5", 443),)
    for ours, expected in (
        ((), ()),
        (SETTINGS.advertise, chosen or SETTINGS.advertise),
        (own, own),
    ):
        settings = msgspec.structs.replace(SETTINGS, advertise_tcp=ours)
        result = admit(event, settings, Random(4).randbytes)
        assert isinstance(result, Admitted)
        assert parse_answer(result.answer).tcp_candidates == expected


def test_only_the_codecs_that_the_operator_allows() -> None:
    settings = msgspec.structs.replace(SETTINGS, codecs=("pcma",))
    result = admit(Create(9, OFFER, "echo"), settings, Random(4).randbytes)
    assert isinstance(result, Admitted)
    assert result.parameters.audio is not None
    assert [c.name for c in result.parameters.audio.codecs if c.name != "telephone-event"] == [
        "pcma"
    ]


def test_the_session_id_is_a_capability_that_any_signaling_worker_can_route() -> None:
    session = admitted()
    token = session.session.removeprefix("rtc_7_")
    assert KEYS.decode(token) == ROUTE
    assert token != session.parameters.local.ufrag
    assert token not in session.answer


def test_limits_are_the_transceivers_unless_the_request_names_others() -> None:
    settings = msgspec.structs.replace(SETTINGS, max_duration=600.0, idle_timeout=60.0)

    def limits(**asked: float) -> tuple[float, float]:
        create = msgspec.structs.replace(Create(1, OFFER, "echo"), **asked)
        admitted = admit(create, settings, Random(4).randbytes)
        assert isinstance(admitted, Admitted)
        return admitted.parameters.max_duration, admitted.parameters.idle_timeout

    assert limits() == (600.0, 60.0)
    assert limits(max_duration=5.0, idle_timeout=0.0) == (5.0, 0.0)


def test_a_passive_offerer_makes_us_active() -> None:
    session = admitted(OFFER.replace("a=setup:actpass", "a=setup:passive"))
    assert session.parameters.dtls_role is DtlsRole.ACTIVE


@pytest.mark.parametrize(
    ("offer", "backend", "problem", "why"),
    [
        (OFFER, "nobody", Problem.UNKNOWN_BACKEND, "there are: assistant, echo"),
        ("", "echo", Problem.MALFORMED_SDP, "line 1"),
        (
            OFFER.replace("m=audio", "m=video").replace("webrtc-datachannel", "other"),
            "echo",
            Problem.NOTHING_IN_COMMON,
            "video with opus",
        ),
    ],
)
def test_refusals(offer: str, backend: str, problem: Problem, why: str) -> None:
    result = admit(Create(9, offer, backend), SETTINGS, Random(4).randbytes)
    assert isinstance(result, Refused)
    assert (result.ticket, result.problem) == (9, problem)
    assert why in result.detail


QUICK = (OFFERS / "chromium-audio-data-quick.sdp").read_text()


def test_both_inits_travel_in_the_sdp() -> None:
    session = admitted(QUICK)
    data = session.parameters.data
    assert data is not None
    assert data.our_init
    (line,) = (line for line in session.answer.splitlines() if line.startswith("a=sctp-init:"))
    assert parse_sctp_init(line.partition(":")[2]) == data.our_init
    assert introduce(data.their_init).a_rwnd == 5 << 20


def test_an_offer_without_an_init_gets_none() -> None:
    session = admitted()
    assert session.parameters.data is not None
    assert session.parameters.data.our_init == b""
    assert "sctp-init" not in session.answer


def test_an_init_that_cannot_be_meant_is_refused_with_its_line() -> None:
    offer = re.sub("a=sctp-init:.*", "a=sctp-init:AAAA", QUICK)
    refused = admit(Create(1, offer, "echo"), SETTINGS, Random(4).randbytes)
    assert isinstance(refused, Refused)
    assert refused.problem is Problem.MALFORMED_SDP
    number = next(n for n, line in enumerate(offer.splitlines(), 1) if "sctp-init" in line)
    assert refused.detail.startswith(f"line {number}: sctp-init")
