"""A session on a bad network: loss, repetition, disorder, and a NAT that forgets."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.ids import Endpoint
from tests.support.sessions import DELAY, End, Fate, Pair, is_dtls, is_stun
from workers.transceiver.core.interface import DtlsRole, Path, PathSelected
from workers.transceiver.core.srtp import SrtpProfile
from workers.wire.types import DropReason


def lose(sender: End, indexes: set[int]) -> Fate:
    """A network that loses some of the DTLS datagrams of one end."""
    count = 0

    def fate(who: End, datagram: bytes) -> Iterable[float]:
        nonlocal count
        if who is not sender or not is_dtls(datagram):
            return (DELAY,)
        count += 1
        return () if count - 1 in indexes else (DELAY,)

    return fate


@pytest.mark.parametrize("client_dtls", list(DtlsRole))
@pytest.mark.parametrize("sender", list(End))
@pytest.mark.parametrize("lost", [{0}, {1}, {0, 1}, {1, 2}, {0, 2}])
def test_a_lost_flight_costs_a_fraction_of_a_second(
    client_dtls: DtlsRole, sender: End, lost: set[int]
) -> None:
    pair = Pair(client_dtls=client_dtls, fate=lose(sender, lost))
    pair.run_until(lambda: pair.connected)
    assert pair.connected
    assert pair.now < 0.5
    pair.speak(End.CLIENT, b"after all")
    pair.run(0.1)
    assert pair.heard(End.SERVER) == [b"after all"]


@pytest.mark.parametrize("sender", list(End))
@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_lost_check_costs_a_fraction_of_a_second(sender: End, lost: int) -> None:
    count = 0

    def fate(who: End, datagram: bytes) -> Iterable[float]:
        nonlocal count
        if who is not sender or not is_stun(datagram):
            return (DELAY,)
        count += 1
        return () if count - 1 == lost else (DELAY,)

    pair = Pair(fate=fate)
    pair.run_until(lambda: pair.connected)
    assert pair.connected
    assert pair.now < 0.3


def test_everything_twice_is_as_good_as_once() -> None:
    pair = Pair(fate=lambda sender, datagram: (DELAY, DELAY + 0.001)).connect()
    for index in range(20):
        pair.speak(End.CLIENT, b"%d" % index, index * 960)
        pair.run(0.02)
    assert pair.heard(End.SERVER) == [b"%d" % index for index in range(20)]
    assert pair.drops(End.SERVER)[DropReason.SRTP_REPLAY] == 20
    assert pair.server.stats.lost == 0


def test_repetitions_do_not_echo_for_ever() -> None:
    pair = Pair(fate=lambda sender, datagram: (DELAY, DELAY + 0.03, DELAY + 0.06))
    pair.run(20)
    assert pair.connected
    assert sum(is_dtls(datagram) for _, _, datagram in pair.sent) < 60


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(list(SrtpProfile)))
def test_a_network_that_loses_repeats_and_reorders_is_survived(
    seed: int, profile: SrtpProfile
) -> None:
    dice = Random(seed)

    def fate(_sender: End, _datagram: bytes) -> Iterable[float]:
        copies = dice.choice((0, 1, 1, 1, 2))
        return [dice.uniform(0.001, 0.08) for _ in range(copies)]

    pair = Pair(fate=fate, profiles=(profile,))
    pair.run_until(lambda: pair.connected, 29)
    assert pair.connected
    pair.fate = lambda sender, datagram: (DELAY,)
    pair.run(1)
    pair.speak(End.CLIENT, b"one")
    pair.speak(End.SERVER, b"two")
    pair.run(1)
    assert (pair.heard(End.SERVER), pair.heard(End.CLIENT)) == ([b"one"], [b"two"])


REBOUND = Endpoint("192.0.2.9", 61000)


def test_a_rebound_nat_is_followed_once_the_new_path_is_proven() -> None:
    pair = Pair().connect()
    pair.run(1)
    pair.seen_as = REBOUND
    pair.speak(End.CLIENT, b"too early")
    pair.run(7)
    assert pair.drops(End.SERVER)[DropReason.UNVERIFIED_PATH] >= 1
    new = Path(pair.server_path.transport, REBOUND, pair.server_path.local)
    assert pair.outputs(End.SERVER, PathSelected)[-1] == PathSelected(new)
    assert pair.server.session.selected_path == new
    pair.speak(End.SERVER, b"found you")
    pair.speak(End.CLIENT, b"here")
    pair.run(60)
    assert pair.heard(End.CLIENT) == [b"found you"]
    assert pair.heard(End.SERVER) == [b"here"]
    assert pair.connected


def test_a_captured_check_moves_nothing_and_amplifies_little() -> None:
    pair = Pair()
    captured: list[bytes] = []

    def fate(sender: End, datagram: bytes) -> Iterable[float]:
        if sender is End.CLIENT and is_stun(datagram):
            captured.append(datagram)
        return (DELAY,)

    pair.fate = fate
    pair.connect()
    victim = Path(pair.server_path.transport, Endpoint("203.0.113.66", 53), pair.server_path.local)
    checks = [check for check in captured if check[:2] == b"\x00\x01"]
    for check in checks:
        pair.inject(End.SERVER, victim, check)
    pair.run(20)
    sent = sum(len(datagram) for _, path, datagram in pair.sent if path == victim)
    assert 0 < sent <= 3 * sum(map(len, checks))
    assert pair.server.session.selected_path == pair.server_path
    pair.speak(End.SERVER, b"private")
    assert pair.sent[-1][1] == pair.server_path


def test_a_captured_check_does_not_keep_a_dead_session_alive() -> None:
    pair = Pair()
    captured: list[bytes] = []

    def fate(sender: End, datagram: bytes) -> Iterable[float]:
        if sender is End.CLIENT and datagram[:2] == b"\x00\x01":
            captured.append(datagram)
        return (DELAY,)

    pair.fate = fate
    pair.connect()
    pair.fate = lambda sender, datagram: ()
    victim = Path(pair.server_path.transport, Endpoint("203.0.113.66", 53), pair.server_path.local)
    for _ in range(40):
        pair.inject(End.SERVER, victim, captured[0])
        pair.run(1)
    assert pair.ended(End.SERVER) is not None


def test_captured_checks_from_many_addresses_take_bounded_room() -> None:
    pair = Pair()
    captured: list[bytes] = []

    def fate(sender: End, datagram: bytes) -> Iterable[float]:
        if sender is End.CLIENT and datagram[:2] == b"\x00\x01":
            captured.append(datagram)
        return (DELAY,)

    pair.fate = fate
    pair.connect()
    for port in range(1, 500):
        victim = Path(
            pair.server_path.transport, Endpoint("203.0.113.66", port), pair.server_path.local
        )
        pair.inject(End.SERVER, victim, captured[0])
    assert len(pair.server.session._paths.values()) <= 8
    assert pair.server.session.selected_path == pair.server_path
    pair.run(5)
    pair.speak(End.SERVER, b"still here")
    pair.run(1)
    assert pair.heard(End.CLIENT) == [b"still here"]
