"""What a client's fragment changes, with the table of sessions and real clients around it."""

from __future__ import annotations

import pytest

from config.ids import SessionId
from ipc.messages.sessions import CloseReason, Problem
from tests.support.transceiver import KEYS, ROUTE, Caller, Rig
from workers.transceiver.core.fragment import read_fragment
from workers.transceiver.core.interface import (
    CloseSession,
    CredentialsRetired,
    ForSession,
    IceCredentials,
    IcePatched,
    PatchIce,
    Refused,
    RestartIce,
)

FRESH = IceCredentials("abcd1234", "anewpasswordoftheclient")


def fragment(credentials: IceCredentials = FRESH, mid: str = "0") -> str:
    return (
        f"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:{mid}\r\n"
        f"a=ice-ufrag:{credentials.ufrag}\r\na=ice-pwd:{credentials.password}\r\n"
    )


TRICKLE = "m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=end-of-candidates\r\n"


def patch(rig: Rig, caller: Caller, text: str, *expected: str) -> IcePatched | Refused:
    outputs = rig.do(PatchIce(9, caller.id, text, expected))
    (result,) = (o for o in outputs if isinstance(o, IcePatched | Refused))
    assert result.ticket == 9
    return result


def patched(rig: Rig, caller: Caller, text: str, *expected: str) -> IcePatched:
    result = patch(rig, caller, text, *expected)
    assert isinstance(result, IcePatched), result
    assert result.session == caller.id
    return result


def refused(rig: Rig, caller: Caller, text: str, *expected: str) -> Refused:
    result = patch(rig, caller, text, *expected)
    assert isinstance(result, Refused), result
    return result


def restart(rig: Rig, caller: Caller, credentials: IceCredentials = FRESH) -> IcePatched:
    """At both ends, as over HTTP."""
    result = patched(rig, caller, fragment(credentials))
    answer = read_fragment(result.fragment).credentials
    assert answer is not None
    caller.do(RestartIce(credentials, answer))
    return result


def test_the_new_ufrag_is_a_route_of_its_own_to_the_same_transceiver() -> None:
    rig = Rig()
    caller = rig.connect()
    answer = read_fragment(restart(rig, caller).fragment)
    assert answer.credentials is not None
    assert answer.credentials.ufrag != caller.ufrag
    assert KEYS.decode(answer.credentials.ufrag) == ROUTE
    assert answer.candidates
    assert answer.ended
    assert answer.mids == ("0",)


def test_media_goes_on_and_the_old_ufrag_is_forgotten_once_there_is_a_pair() -> None:
    rig = Rig()
    caller = rig.connect()
    restart(rig, caller)
    assert len(rig.sessions._roster.by_ufrag) == 2
    for n in range(50):
        caller.speak(b"frame %d" % n)
        rig.run(0.02)
    rig.run(0.2)
    assert caller.heard == [b"frame %d" % n for n in range(50)]
    assert len(rig.sessions._roster.by_ufrag) == 1
    assert caller.ufrag not in rig.sessions._roster.by_ufrag
    assert any(isinstance(output, CredentialsRetired) for output in caller.outputs)
    rig.run(60)
    assert caller.connected
    assert len(rig.sessions) == 1


def test_the_end_of_a_session_forgets_every_ufrag() -> None:
    rig = Rig()
    caller = rig.connect()
    patched(rig, caller, fragment())
    assert len(rig.sessions._roster.by_ufrag) == 2
    rig.do(ForSession(caller.id, CloseSession(CloseReason.HANGUP)))
    assert not rig.sessions._roster.by_ufrag


def test_many_restarts_leave_nothing_behind() -> None:
    rig = Rig()
    caller = rig.connect()
    for n in range(20):
        patched(rig, caller, fragment(IceCredentials(f"try{n:04}", FRESH.password)))
    assert len(rig.sessions._roster.by_ufrag) == 2
    restart(rig, caller, IceCredentials("last", FRESH.password))
    rig.run(1.0)
    assert len(rig.sessions._roster.by_ufrag) == 1


def test_the_same_restart_again_has_the_same_answer() -> None:
    """Its first answer may not have arrived."""
    rig = Rig()
    caller = rig.connect()
    first = patched(rig, caller, fragment())
    assert patched(rig, caller, fragment()) == first
    assert patched(rig, caller, fragment(), first.tag).fragment == ""


def test_trickle_is_for_the_credentials_that_its_tag_names() -> None:
    rig = Rig()
    caller = rig.connect()
    old = caller.tag
    accepted = patched(rig, caller, TRICKLE, "another", old)
    assert (accepted.tag, accepted.fragment) == (old, "")
    new = restart(rig, caller).tag
    assert new != old
    assert patched(rig, caller, TRICKLE, new).tag == new
    assert refused(rig, caller, TRICKLE, old).problem is Problem.STALE_ICE


@pytest.mark.parametrize(
    ("text", "problem", "why"),
    [
        ("nonsense", Problem.MALFORMED_FRAGMENT, "line 1"),
        (TRICKLE, Problem.UNUSABLE_FRAGMENT, "brings a new ice-ufrag"),
        (fragment(mid="video"), Problem.UNUSABLE_FRAGMENT, "mid 'video'"),
    ],
)
def test_restarts_that_cannot_be(text: str, problem: Problem, why: str) -> None:
    rig = Rig()
    caller = rig.connect()
    refusal = refused(rig, caller, text)
    assert refusal.problem is problem
    assert why in refusal.detail
    assert len(rig.sessions._roster.by_ufrag) == 1


def test_new_credentials_under_an_old_tag_are_no_trickle() -> None:
    rig = Rig()
    caller = rig.connect()
    refusal = refused(rig, caller, fragment(), caller.tag)
    assert refusal.problem is Problem.UNUSABLE_FRAGMENT
    assert "If-Match" in refusal.detail


def test_a_session_that_is_not_there() -> None:
    rig = Rig()
    (result,) = rig.do(PatchIce(9, SessionId("rtc_7_nobody"), TRICKLE))
    assert isinstance(result, Refused)
    assert result.problem is Problem.UNKNOWN_SESSION


def test_a_restart_before_the_first_check() -> None:
    rig = Rig()
    caller = rig.call()
    restart(rig, caller)
    rig.run_until(lambda: caller.connected)
