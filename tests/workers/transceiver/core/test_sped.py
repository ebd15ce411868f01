"""What travels in checks: each flight once in turn, until it is acknowledged, and what came, once."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.sessions import identity
from workers.transceiver.core.checks import DTLS_ACKS, DTLS_DATA
from workers.transceiver.core.dtls import Dtls, DtlsState
from workers.transceiver.core.interface import DtlsRole
from workers.transceiver.core.sped import MAX_EMBEDDED, Sped
from workers.wire.sped import MAX_ACKS, datagram_id, encode_acks, parse_acks
from workers.wire.types import DropReason

NOW = 5.0


class End:
    """One side of a handshake that happens in checks alone."""

    def __init__(self, name: str, peer: str, role: DtlsRole) -> None:
        self.dtls = Dtls(identity(name), role, (identity(peer).fingerprint,), MAX_EMBEDDED)
        self.sped = Sped(self.dtls)
        if role is DtlsRole.ACTIVE:
            self.dtls.prepare(NOW)

    def say(self, asked: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
        return self.sped.attributes(asked)

    def hear(self, attributes: Mapping[str, bytes]) -> list[bytes]:
        """What is left to send as plain DTLS if no response carries it."""
        self.sped.receive(attributes, NOW)
        brought = self.sped.take()
        return [] if brought is None else list(brought.datagrams)


def ends() -> tuple[End, End]:
    return End("client", "server", DtlsRole.ACTIVE), End("server", "client", DtlsRole.PASSIVE)


def check(sender: End, receiver: End) -> None:
    """A request and its response."""
    request = sender.say()
    receiver.hear(request)
    sender.hear(receiver.say(request))


def test_two_checks_make_a_connection() -> None:
    client, server = ends()
    check(client, server)
    check(client, server)
    assert client.dtls.state is server.dtls.state is DtlsState.CONNECTED
    assert client.dtls.keys is not None


def test_a_server_says_first_that_nothing_came() -> None:
    _, server = ends()
    assert server.say() == {DTLS_ACKS: b""}


def test_what_came_is_acknowledged_and_what_is_acknowledged_not_said_again() -> None:
    client, server = ends()
    hello = client.say()
    server.hear(hello)
    answer = server.say(hello)
    assert parse_acks(answer[DTLS_ACKS]) == (datagram_id(hello[DTLS_DATA]),)
    client.hear({DTLS_ACKS: answer[DTLS_ACKS]})
    assert client.say() == {DTLS_ACKS: b""}
    assert client.dtls.next_timeout() is None


def test_a_flight_of_several_datagrams_goes_round() -> None:
    client, server = ends()
    client.dtls._flight = [b"\x16one", b"\x16two", b"\x16three"]  # as a hello with large keys
    assert [client.say()[DTLS_DATA] for _ in range(4)] == [
        b"\x16one", b"\x16two", b"\x16three", b"\x16one"
    ]  # fmt: skip
    client.hear({DTLS_ACKS: encode_acks([datagram_id(b"\x16one")])})
    assert {client.say()[DTLS_DATA] for _ in range(4)} == {b"\x16two", b"\x16three"}
    del server


def test_what_comes_twice_is_fed_once() -> None:
    client, server = ends()
    hello = client.say()
    assert server.hear(hello)
    for _ in range(3):
        server.sped.receive(hello, NOW)
        assert server.sped.take() is None


def test_what_a_response_carries_is_not_left_to_send() -> None:
    client, server = ends()
    hello = client.say()
    server.sped.receive(hello, NOW)
    server.sped.sent(server.say(hello))
    brought = server.sped.take()
    assert brought is not None
    assert brought.answered
    assert brought.datagrams == []


def test_plain_datagrams_are_acknowledged_alike() -> None:
    client, server = ends()
    (hello,) = client.dtls.flight
    assert not server.sped.knows(hello)
    server.dtls.handle(hello, NOW)
    server.sped.note(hello)
    assert server.sped.knows(hello)
    assert parse_acks(server.say()[DTLS_ACKS]) == (datagram_id(hello),)


def test_when_all_is_done_only_who_still_asks_is_told() -> None:
    client, server = ends()
    check(client, server)
    check(client, server)
    assert client.dtls.settled
    assert client.say() == {}
    still_sending = len(server.say())
    assert still_sending == 2
    server.hear({DTLS_ACKS: encode_acks(client.sped._came)})
    assert server.dtls.settled
    assert server.say() == server.say({}) == {}
    assert parse_acks(server.say({DTLS_ACKS: b""})[DTLS_ACKS])


@pytest.mark.parametrize(
    "attributes",
    [
        {DTLS_DATA: b"neither"},
        {DTLS_DATA: b"\x16\xfe\xfd"},
        {DTLS_ACKS: b"odd"},
        {DTLS_ACKS: bytes(4 * MAX_ACKS + 4)},
    ],
)
def test_nonsense_is_a_counted_drop(attributes: dict[str, bytes]) -> None:
    _, server = ends()
    server.sped.receive(attributes, NOW)
    brought = server.sped.take()
    assert brought is not None
    assert brought.dropped in (DropReason.MALFORMED_DTLS, DropReason.MALFORMED_STUN)
    assert server.dtls.state is DtlsState.HANDSHAKE


def test_a_datagram_too_long_for_a_check_is_left_to_plain_dtls() -> None:
    client, _ = ends()
    client.dtls._flight = [bytes(MAX_EMBEDDED + 1)]
    assert client.say() == {DTLS_ACKS: b""}


DATAGRAMS = st.binary(max_size=40) | st.builds(
    lambda body: b"\x16\xfe\xfd" + bytes(8) + len(body).to_bytes(2, "big") + body,
    st.binary(min_size=1, max_size=40),
)


@settings(max_examples=60)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from([DTLS_DATA, DTLS_ACKS]), DATAGRAMS | st.binary(max_size=16)
        ),
        max_size=12,
    )
)
def test_whatever_a_check_carries_little_is_kept_and_little_said(
    messages: list[dict[str, bytes]],
) -> None:
    _, server = ends()
    for message in messages:
        server.sped.receive(message, NOW)
        carried = server.say(message)
        assert len(parse_acks(carried.get(DTLS_ACKS, b""))) <= MAX_ACKS
        assert len(carried.get(DTLS_DATA, b"")) <= MAX_EMBEDDED
        server.sped.take()
    assert len(server.sped._came) <= MAX_ACKS
