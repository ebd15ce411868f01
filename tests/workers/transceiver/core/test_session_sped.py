"""Two sessions that put DTLS into checks: sooner, as safe, and whatever is lost."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.ids import Endpoint, Transport
from tests.support.sessions import (
    CLIENT_CREDENTIALS,
    DELAY,
    SERVER,
    SERVER_CREDENTIALS,
    End,
    Fate,
    Pair,
    is_dtls,
    is_stun,
)
from workers.transceiver.core import checks
from workers.transceiver.core.checks import DTLS_ACKS, DTLS_DATA
from workers.transceiver.core.interface import DtlsRole, Path, SendDatagram
from workers.transceiver.core.states import SessionState

ROUND_TRIP = 2 * DELAY


def took(pair: Pair) -> float:
    """Seconds until both ends were connected."""
    pair.run_until(lambda: pair.connected)
    assert pair.connected
    return pair.now


def test_it_saves_a_round_trip() -> None:
    assert took(Pair()) == pytest.approx(3 * ROUND_TRIP)
    assert took(Pair(sped=True)) == pytest.approx(2 * ROUND_TRIP)


def test_a_passive_offerer_is_served_in_checks_too() -> None:
    plain = took(Pair(client_dtls=DtlsRole.PASSIVE))
    assert took(Pair(client_dtls=DtlsRole.PASSIVE, sped=True)) < plain


def test_checks_stay_below_the_mtu() -> None:
    pair = Pair(sped=True).connect()
    assert max(len(datagram) for _, _, datagram in pair.sent) <= 1200
    assert max(len(datagram) for _, _, datagram in pair.sent if is_stun(datagram)) > 500


def test_it_ends_with_the_handshake() -> None:
    pair = Pair(sped=True).connect()
    pair.speak(End.CLIENT)
    pair.speak(End.SERVER)
    pair.run(1)
    pair.sent.clear()
    pair.run(20)
    checks_ = [datagram for _, _, datagram in pair.sent]
    assert checks_
    assert max(map(len, checks_)) < 130
    assert not any(map(is_dtls, checks_))


@pytest.mark.parametrize("role", list(DtlsRole))
@pytest.mark.parametrize("end", list(End))
@pytest.mark.parametrize("lost", range(6))
def test_any_one_datagram_may_be_lost(role: DtlsRole, end: End, lost: int) -> None:
    numbers = count()

    def fate(sender: End, _datagram: bytes) -> Iterable[float]:
        return () if sender is end and next(numbers) == lost else (DELAY,)

    assert took(Pair(fate=fate, client_dtls=role, sped=True)) < 0.5


def test_checks_alone_are_enough() -> None:
    def fate(_sender: End, datagram: bytes) -> Iterable[float]:
        return () if is_dtls(datagram) else (DELAY,)

    assert took(Pair(fate=fate, sped=True)) == pytest.approx(2 * ROUND_TRIP)


def test_an_end_that_does_not_carry_is_served_plainly() -> None:
    pair = Pair(sped=True)
    plain = Pair()
    pair.server = plain.server
    assert took(pair) <= 4 * ROUND_TRIP


@pytest.mark.parametrize("seed", range(20))
def test_a_bad_network_only_delays(seed: int) -> None:
    pair = Pair(fate=bad(seed), sped=True, data=True, snap=True)
    assert took(pair) < 10


def bad(seed: int) -> Fate:
    random = Random(seed)

    def fate(_sender: End, _datagram: bytes) -> Iterable[float]:
        if random.random() < 0.25:
            return ()
        copies = 2 if random.random() < 0.1 else 1
        return [DELAY + random.random() * 0.03 for _ in range(copies)]

    return fate


# --- a hostile peer that has the password ---------------------------------------------------------


def signed(**fields: object) -> bytes:
    attributes = {
        "USERNAME": f"{SERVER_CREDENTIALS.ufrag}:{CLIENT_CREDENTIALS.ufrag}",
        "PRIORITY": 1,
        "ICE-CONTROLLING": 1,
        **{name: value for name, value in fields.items() if value is not None},
    }
    return checks.encode_request(bytes(12), attributes, SERVER_CREDENTIALS.password.encode())


ELSEWHERE = Path(Transport.UDP, Endpoint("203.0.113.66", 6), SERVER)


def hello() -> bytes:
    pair = Pair(sped=True)
    pair.run_until(lambda: bool(pair.sent))
    return pair.sent[0][2]


def test_a_flight_in_a_response_counts_against_what_an_address_may_get() -> None:
    """A captured first check, sent again from somewhere else, draws at most three times its size."""
    captured = hello()
    pair = Pair(sped=True)
    for _ in range(20):
        pair.inject(End.SERVER, ELSEWHERE, captured)
        pair.run(0.3)
    drawn = sum(len(datagram) for _, path, datagram in pair.sent if path == ELSEWHERE)
    assert 0 < drawn <= 3 * 20 * len(captured)
    one = Pair(sped=True)
    one.inject(End.SERVER, ELSEWHERE, captured)
    one.run(5)
    drawn = sum(len(datagram) for _, path, datagram in one.sent if path == ELSEWHERE)
    assert 0 < drawn <= 3 * len(captured)


def test_where_a_replayed_hello_drew_the_flight_nothing_is_proven() -> None:
    pair = Pair(sped=True)
    captured = hello()
    pair.inject(End.SERVER, ELSEWHERE, captured)
    pair.run_until(lambda: pair.connected)
    pair.run(1)
    assert pair.server.session.selected_path is not None
    assert pair.server.session.selected_path.remote != ELSEWHERE.remote


VALUES = st.none() | st.binary(max_size=48) | st.just(bytes.fromhex("16fefd00000000000000000001ff"))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(VALUES, VALUES, st.booleans()), max_size=20))
def test_whatever_is_carried_the_session_stays_whole(
    messages: list[tuple[bytes | None, bytes | None, bool]],
) -> None:
    pair = Pair(sped=True)
    received = 0
    for data, acks, other in messages:
        datagram = signed(**{DTLS_DATA: data, DTLS_ACKS: acks})
        path = ELSEWHERE if other else pair.server_path
        outputs = pair.inject(End.SERVER, path, datagram)
        received += len(datagram)
        assert len(outputs) <= 8
    sent = [o for o in pair.outputs(End.SERVER, SendDatagram) if o.path == ELSEWHERE]
    assert sum(len(o.datagram) for o in sent) <= 3 * received
    assert pair.server.state in (
        SessionState.WAITING,
        SessionState.CHECKING,
        SessionState.CLOSED,  # a peer may spoil its own handshake, and nobody else's
    )


def test_a_hello_that_also_comes_as_plain_dtls_draws_no_second_flight() -> None:
    pair = Pair(sped=True)
    pair.run_until(lambda: any(end is End.SERVER for end, _, _ in pair.sent))
    (plain,) = pair.client.session._dtls.flight or hello_of(pair)
    pair.now += 0.05  # later than any echo of the same instant
    before = len(pair.sent)
    pair.inject(End.SERVER, pair.server_path, plain)
    assert len(pair.sent) == before


def hello_of(pair: Pair) -> list[bytes]:
    """What the client's first check has carried."""
    parsed = checks.parse_binding(pair.sent[0][2])
    return [parsed.attributes[DTLS_DATA]]
