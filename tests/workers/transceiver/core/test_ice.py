"""ICE as a peer sees it, message by message."""

from __future__ import annotations

import pytest
from aioice import stun

from config.ids import Endpoint, Transport
from tests.support.sessions import (
    CLIENT,
    CLIENT_CREDENTIALS,
    SERVER,
    SERVER_CREDENTIALS,
    entropy,
)
from workers.transceiver.core import checks
from workers.transceiver.core.checks import Binding, parse_binding
from workers.transceiver.core.ice import MAX_PROOF_ATTEMPTS, PACING, Ice, IceOutput, PathProven
from workers.transceiver.core.interface import (
    Dropped,
    DtlsRole,
    IceRole,
    Path,
    PathSelected,
    SendDatagram,
    SessionParameters,
)
from workers.wire.types import DropReason

PATH = Path(Transport.UDP, CLIENT, SERVER)
SERVER_KEY = SERVER_CREDENTIALS.password.encode()
CLIENT_KEY = CLIENT_CREDENTIALS.password.encode()


def controlled() -> Ice:
    return Ice(
        SessionParameters(
            IceRole.CONTROLLED, DtlsRole.PASSIVE, SERVER_CREDENTIALS, CLIENT_CREDENTIALS, (), None
        ),
        entropy("ice"),
        0.0,
    )


def controlling(*paths: Path) -> Ice:
    return Ice(
        SessionParameters(
            IceRole.CONTROLLING,
            DtlsRole.ACTIVE,
            CLIENT_CREDENTIALS,
            SERVER_CREDENTIALS,
            (),
            None,
            paths,
        ),
        entropy("ice"),
        0.0,
    )


def check(
    *attributes: str,
    role: str = "ICE-CONTROLLING",
    username: str = "sRvr:cLnt",
    key: bytes = SERVER_KEY,
    transaction: bytes = bytes(12),
) -> bytes:
    fields: dict[str, object] = {"USERNAME": username, "PRIORITY": 1, role: 5}
    fields.update(dict.fromkeys(attributes))
    return checks.encode_request(transaction, fields, key)


def sent(outputs: list[IceOutput]) -> list[Binding]:
    return [parse_binding(o.datagram) for o in outputs if isinstance(o, SendDatagram)]


def answer(request: Binding, key: bytes) -> bytes:
    return checks.encode_success(request.transaction, ("203.0.113.1", 1), key)


def test_a_valid_check_is_answered_and_checked_back() -> None:
    ice = controlled()
    outputs = ice.handle(PATH, check(), 1.0)
    response, probe = sent(outputs)
    assert response.kind == stun.Class.RESPONSE
    assert response.attributes["XOR-MAPPED-ADDRESS"] == CLIENT
    assert response.signed_with(SERVER_KEY)
    assert probe.kind == stun.Class.REQUEST
    assert probe.attributes["USERNAME"] == "cLnt:sRvr"
    assert "ICE-CONTROLLED" in probe.attributes
    assert probe.signed_with(CLIENT_KEY)
    assert outputs[-1] == PathSelected(PATH)
    first = outputs[0]
    assert isinstance(first, SendDatagram)
    assert (first.assured, first.proven) == (True, False)


def test_the_answer_to_our_check_proves_the_path() -> None:
    ice = controlled()
    probe = sent(ice.handle(PATH, check(), 1.0))[1]
    assert ice.handle(PATH, answer(probe, CLIENT_KEY), 1.04) == [PathProven(PATH)]
    assert ice.round_trip == pytest.approx(0.04)
    (response,) = ice.handle(PATH, check(), 2.0)
    assert isinstance(response, SendDatagram)
    assert response.proven
    assert ice.next_timeout() is None


def test_a_check_that_comes_again_in_the_same_words_is_answered_and_does_as_much() -> None:
    ice = controlled()
    probe = sent(ice.handle(PATH, check("USE-CANDIDATE"), 1.0))[1]
    ice.handle(PATH, answer(probe, CLIENT_KEY), 1.0)
    ice.handle(PATH, check("USE-CANDIDATE"), 2.0)
    state = ice.paths.selected
    assert state is not None
    assert state.recurring is not None
    before = (state.nomination, state.bytes_received, state.bytes_sent)
    again = check("USE-CANDIDATE", transaction=b"anothertime.")
    (response,) = sent(ice.handle(PATH, again, 9.0))
    assert response.transaction == b"anothertime."
    assert response.attributes["XOR-MAPPED-ADDRESS"] == CLIENT
    assert response.signed_with(SERVER_KEY)
    assert (state.active_at, ice.consent_at) == (9.0, 9.0)
    assert state.nomination > before[0]
    assert state.bytes_received == before[1] + len(again)
    assert state.bytes_sent > before[2]


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (check(key=b"guess"), DropReason.BAD_INTEGRITY),
        (check(username="sRvr:other"), DropReason.UNKNOWN_UFRAG),
        (check(username="other:cLnt"), DropReason.UNKNOWN_UFRAG),
        (check()[:-8], DropReason.MALFORMED_STUN),
        (checks.encode_success(bytes(12), CLIENT, CLIENT_KEY), DropReason.UNKNOWN_TRANSACTION),
        (checks.encode_error(bytes(12), 487, CLIENT_KEY), DropReason.UNKNOWN_TRANSACTION),
        (
            bytes(stun.Message(stun.Method.BINDING, stun.Class.INDICATION, bytes(12))),
            DropReason.UNSUPPORTED,
        ),
    ],
)
def test_what_is_not_signed_or_not_ours_gets_no_reply(datagram: bytes, reason: DropReason) -> None:
    ice = controlled()
    assert ice.handle(PATH, datagram, 1.0) == [Dropped(reason)]
    assert ice.paths.get(PATH) is None


def test_a_peer_that_claims_our_role_is_told_and_makes_no_path() -> None:
    ice = controlled()
    outputs = ice.handle(PATH, check(role="ICE-CONTROLLED"), 1.0)
    (error,) = sent(outputs)
    assert error.message.error_code == 487
    assert outputs[-1] == Dropped(DropReason.ROLE_CONFLICT)
    assert ice.paths.get(PATH) is None


def test_an_attribute_that_must_be_understood_and_is_not_gets_a_420() -> None:
    entry = (0x7ABC, "STRANGE", stun.pack_none, stun.unpack_none)
    stun.ATTRIBUTES_BY_NAME["STRANGE"] = entry
    datagram = check("STRANGE")
    del stun.ATTRIBUTES_BY_NAME["STRANGE"]
    outputs = controlled().handle(PATH, datagram, 1.0)
    (error,) = sent(outputs)
    assert error.message.error_code == 420
    assert error.attributes["UNKNOWN-ATTRIBUTES"] == bytes.fromhex("7abc")


def test_an_answer_from_elsewhere_or_with_another_key_proves_nothing() -> None:
    ice = controlled()
    probe = sent(ice.handle(PATH, check(), 1.0))[1]
    elsewhere = PATH._replace(remote=Endpoint("203.0.113.9", 9))
    assert ice.handle(elsewhere, answer(probe, CLIENT_KEY), 1.1) == [
        Dropped(DropReason.UNKNOWN_TRANSACTION)
    ]
    assert ice.handle(PATH, answer(probe, SERVER_KEY), 1.1) == [Dropped(DropReason.BAD_INTEGRITY)]
    state = ice.paths.get(PATH)
    assert state is not None
    assert not state.proven


def test_our_check_is_repeated_a_few_times_within_the_byte_limit_and_then_given_up() -> None:
    ice = controlled()
    ice.handle(PATH, check(), 0.0)
    state = ice.paths.get(PATH)
    assert state is not None
    rounds = 0
    while (due := ice.next_timeout()) is not None:
        ice.handle_timeout(due)
        rounds += 1
        assert state.bytes_sent <= 3 * state.bytes_received
    assert rounds == MAX_PROOF_ATTEMPTS
    assert state.check is None
    assert ice.handle(PATH, check(), 20.0)


def test_a_flood_of_checks_from_an_unproven_address_is_answered_three_for_one() -> None:
    ice = controlled()
    for _ in range(100):
        ice.handle(PATH, check(), 0.0)
    state = ice.paths.get(PATH)
    assert state is not None
    assert state.bytes_sent <= 3 * state.bytes_received
    assert len(ice.paths.values()) == 1


def test_use_candidate_nominates() -> None:
    ice = controlled()
    second = PATH._replace(remote=Endpoint("192.0.2.2", 2))
    ice.handle(PATH, check("USE-CANDIDATE"), 0.0)
    outputs = ice.handle(second, check(), 0.1)
    assert PathSelected(second) not in outputs
    assert PathSelected(second) in ice.handle(second, check("USE-CANDIDATE"), 0.2)


def test_connected_media_waits_for_the_proof_of_a_nominated_path() -> None:
    ice = controlled()
    ice.handle(PATH, check(), 0.0)
    ice.connect(ice.paths.get(PATH), 0.0)
    second = PATH._replace(remote=Endpoint("192.0.2.2", 2))
    outputs = ice.handle(second, check("USE-CANDIDATE"), 1.0)
    assert PathSelected(second) not in outputs
    probe = sent(outputs)[1]
    assert ice.handle(second, answer(probe, CLIENT_KEY), 1.1) == [
        PathProven(second),
        PathSelected(second),
    ]


def test_after_a_rebinding_without_nomination_silence_moves_media() -> None:
    ice = controlled()
    probe = sent(ice.handle(PATH, check("USE-CANDIDATE"), 0.0))[1]
    ice.handle(PATH, answer(probe, CLIENT_KEY), 0.1)
    ice.connect(ice.paths.get(PATH), 0.2)
    second = PATH._replace(remote=Endpoint("192.0.2.2", 2))
    probe = sent(ice.handle(second, check(), 5.0))[1]
    assert ice.handle(second, answer(probe, CLIENT_KEY), 5.1) == [PathProven(second)]
    assert PathSelected(second) in ice.handle(second, check(), 10.0)


def test_after_a_rebinding_media_moves_where_media_comes_from() -> None:
    ice = controlled()
    probe = sent(ice.handle(PATH, check("USE-CANDIDATE"), 0.0))[1]
    ice.handle(PATH, answer(probe, CLIENT_KEY), 0.1)
    ice.connect(ice.paths.get(PATH), 0.2)
    second = PATH._replace(remote=Endpoint("192.0.2.2", 2))
    probe = sent(ice.handle(second, check(), 1.0))[1]
    ice.handle(second, answer(probe, CLIENT_KEY), 1.1)
    state = ice.paths.get(second)
    assert state is not None
    assert ice.media_elsewhere(state, 1.2) == []
    assert ice.media_elsewhere(state, 2.3) == [PathSelected(second)]


def test_consent_comes_from_checks_on_proven_paths() -> None:
    ice = controlled()
    ice.handle(PATH, check(), 1.0)
    assert ice.consent_at == 1.0
    ice.connect(ice.paths.get(PATH), 2.0)
    ice.handle(PATH, check(), 3.0)
    assert ice.consent_at == 3.0
    ice.handle(PATH._replace(remote=Endpoint("192.0.2.2", 2)), check(), 4.0)
    assert ice.consent_at == 3.0


def test_the_controlling_side_paces_its_first_checks() -> None:
    paths = [Path(Transport.UDP, Endpoint("198.51.100.1", port), CLIENT) for port in (1, 2, 3)]
    ice = controlling(*paths)
    assert ice.next_timeout() == 0.0
    begun: dict[Path, float] = {}
    for step in range(3):
        for output in ice.handle_timeout(step * PACING):
            assert isinstance(output, SendDatagram)
            begun.setdefault(output.path, step * PACING)
    assert begun == {path: step * PACING for step, path in enumerate(paths)}


def test_the_controlling_side_nominates_what_works_and_keeps_consent() -> None:
    path = Path(Transport.UDP, SERVER, CLIENT)
    ice = controlling(path)
    (request,) = sent(ice.handle_timeout(0.0))
    assert "ICE-CONTROLLING" in request.attributes
    assert "USE-CANDIDATE" not in request.attributes
    outputs = ice.handle(path, answer(request, SERVER_KEY), 0.05)
    (nomination,) = sent(outputs)
    assert "USE-CANDIDATE" in nomination.attributes
    assert PathSelected(path) in outputs
    ice.handle(path, answer(nomination, SERVER_KEY), 0.1)
    due = ice.next_timeout()
    assert due is not None
    assert 4.0 <= due - 0.1 <= 6.0
    (consent,) = sent(ice.handle_timeout(due))
    assert "USE-CANDIDATE" in consent.attributes
    again = ice.next_timeout()
    assert again is not None
    assert 4.0 <= again - due <= 6.0
    (another,) = sent(ice.handle_timeout(again))
    assert another.transaction != consent.transaction
    ice.handle(path, answer(another, SERVER_KEY), again + 0.5)
    assert ice.round_trip == pytest.approx(0.5)


def test_a_path_that_the_answer_prefers_is_nominated_also_if_it_works_later() -> None:
    near, far = (Path(Transport.UDP, Endpoint("198.51.100.1", port), CLIENT) for port in (1, 2))
    ice = controlling(near, far)
    (to_near,) = sent(ice.handle_timeout(0.0))
    (to_far,) = sent(ice.handle_timeout(PACING))
    outputs = ice.handle(far, answer(to_far, SERVER_KEY), PACING + 0.01)
    assert PathSelected(far) in outputs
    (nomination,) = sent(outputs)
    outputs = ice.handle(near, answer(to_near, SERVER_KEY), PACING + 0.02)
    (better,) = sent(outputs)
    assert "USE-CANDIDATE" in better.attributes
    # The first nomination means nothing any more, and is not said again.
    assert ice.handle(far, answer(nomination, SERVER_KEY), PACING + 0.03) == [
        Dropped(DropReason.UNKNOWN_TRANSACTION)
    ]
    ice.handle(near, answer(better, SERVER_KEY), PACING + 0.04)
    due = ice.next_timeout()
    assert due is not None
    (consent,) = ice.handle_timeout(due)
    assert isinstance(consent, SendDatagram)
    assert consent.path == near
    assert ice.paths.selected is ice.paths.get(near)


def test_a_path_that_the_answer_prefers_less_is_not_nominated_beside_it() -> None:
    near, far = (Path(Transport.UDP, Endpoint("198.51.100.1", port), CLIENT) for port in (1, 2))
    ice = controlling(near, far)
    (to_near,) = sent(ice.handle_timeout(0.0))
    (to_far,) = sent(ice.handle_timeout(PACING))
    ice.handle(near, answer(to_near, SERVER_KEY), PACING + 0.01)
    assert sent(ice.handle(far, answer(to_far, SERVER_KEY), PACING + 0.02)) == []


def test_the_controlling_side_repeats_a_lost_check_with_the_same_transaction() -> None:
    path = Path(Transport.UDP, SERVER, CLIENT)
    ice = controlling(path)
    (first,) = sent(ice.handle_timeout(0.0))
    dues = []
    for _ in range(6):
        due = ice.next_timeout()
        assert due is not None
        (repeated,) = sent(ice.handle_timeout(due))
        assert repeated.transaction == first.transaction
        dues.append(round(due, 3))
    assert dues == [0.1, 0.3, 0.7, 1.1, 1.5, 1.9]
    ice.handle(path, answer(first, SERVER_KEY), 5.0)
    assert ice.round_trip is None


def test_a_signed_role_conflict_ends_our_check() -> None:
    path = Path(Transport.UDP, SERVER, CLIENT)
    ice = controlling(path)
    (request,) = sent(ice.handle_timeout(0.0))
    error = checks.encode_error(request.transaction, 487, SERVER_KEY)
    assert ice.handle(path, error, 0.1) == [Dropped(DropReason.ROLE_CONFLICT)]
    assert ice.next_timeout() is None


def test_the_controlled_side_cannot_nominate() -> None:
    there = Path(Transport.UDP, SERVER, CLIENT)
    ice = controlling(there)
    wish = check("USE-CANDIDATE", role="ICE-CONTROLLED", username="cLnt:sRvr", key=CLIENT_KEY)
    (response, *_) = sent(ice.handle(there, wish, 0.0))
    assert response.kind == stun.Class.RESPONSE
    state = ice.paths.get(there)
    assert state is not None
    assert state.nomination == 0


def test_a_nomination_is_said_again_if_media_comes_by_another_path() -> None:
    """Of two that crossed the other one came last: the peer uses that path."""
    near, far = (Path(Transport.UDP, Endpoint("198.51.100.1", port), CLIENT) for port in (1, 2))
    ice = controlling(near, far)
    (to_near,) = sent(ice.handle_timeout(0.0))
    (to_far,) = sent(ice.handle_timeout(PACING))
    ice.handle(far, answer(to_far, SERVER_KEY), 0.06)
    (nomination,) = sent(ice.handle(near, answer(to_near, SERVER_KEY), 0.07))
    ice.handle(near, answer(nomination, SERVER_KEY), 1.0)
    ice.connect(ice.paths.get(near), 1.0)
    other = ice.paths.get(far)
    assert other is not None
    assert ice.media_elsewhere(other, 1.1) == []  # it may have been under way
    (request,) = ice.media_elsewhere(other, 1.3)
    assert isinstance(request, SendDatagram)
    assert request.path == near
    again = parse_binding(request.datagram)
    assert "USE-CANDIDATE" in again.attributes
    assert ice.media_elsewhere(other, 1.32) == []
    ice.handle(near, answer(again, SERVER_KEY), 1.34)
    assert ice.media_elsewhere(other, 1.36) == []
    assert ice.paths.selected is ice.paths.get(near)
    # And a path that does not answer is given up.
    assert len(ice.media_elsewhere(other, 1.6)) == 1
    assert ice.media_elsewhere(other, 3.4) == [PathSelected(far)]
    due = ice.next_timeout()
    assert due is not None
    assert due > 7.0
