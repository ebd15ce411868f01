"""DTLS over memory BIOs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL

from tests.support.sessions import identity
from workers.transceiver.core.dtls import (
    DTLS_1_2,
    DTLS_1_3,
    FIRST_RESEND,
    MAX_ECHOES,
    MAX_RESENDS,
    MTU,
    Dtls,
    DtlsIdentity,
    DtlsState,
)
from workers.transceiver.core.interface import DtlsRole, Fingerprint
from workers.transceiver.core.srtp import SrtpKeys, SrtpProfile
from workers.wire.dtls import parse_dtls
from workers.wire.sped import datagram_id
from workers.wire.types import Malformed


def both(
    server: DtlsIdentity | None = None, client: DtlsIdentity | None = None
) -> tuple[Dtls, Dtls]:
    ours, theirs = server or identity("server"), client or identity("client")
    return (
        Dtls(theirs, DtlsRole.ACTIVE, [ours.fingerprint]),
        Dtls(ours, DtlsRole.PASSIVE, [theirs.fingerprint]),
    )


def shake(client: Dtls, server: Dtls) -> list[Sequence[bytes]]:
    flights: list[Sequence[bytes]] = [client.start(0.0)]
    receiver, sender = server, client
    while flights[-1]:
        replies: list[bytes] = []
        for datagram in flights[-1]:
            replies.extend(receiver.handle(datagram, 0.0).datagrams)
        flights.append(replies)
        receiver, sender = sender, receiver
    return flights


def shaken() -> tuple[Dtls, Dtls]:
    client, server = both()
    shake(client, server)
    return client, server


BYSTANDERS = [shaken()]


@pytest.mark.parametrize("profile", list(SrtpProfile))
def test_both_ends_have_the_same_keys(profile: SrtpProfile) -> None:
    client, server = both(client=identity("picky", (profile,)))
    shake(client, server)
    assert client.state is server.state is DtlsState.CONNECTED
    assert client.keys is not None
    assert client.keys.profile is profile
    assert len(client.keys.local) == profile.key_length + profile.salt_length
    assert server.keys == SrtpKeys(profile, client.keys.remote, client.keys.local)


def test_who_was_active_sends_with_the_clients_keys() -> None:
    """RFC 5764, 4.2: client key, server key, client salt, server salt."""
    client, server = shaken()
    assert client.keys is not None
    assert server.keys is not None
    profile = client.keys.profile
    key, salt = profile.key_length, profile.salt_length
    exported = client._connection.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (key + salt))
    salts = exported[2 * key :]
    assert client.keys.local == exported[:key] + salts[:salt]
    assert server.keys.local == exported[key : 2 * key] + salts[salt:]


@pytest.mark.parametrize("deaf", list(DtlsRole))
def test_without_media_at_one_end_no_srtp_is_negotiated(deaf: DtlsRole) -> None:
    ours, theirs = identity("server"), identity("client")
    client = Dtls(theirs, DtlsRole.ACTIVE, [ours.fingerprint], media=deaf is DtlsRole.PASSIVE)
    server = Dtls(ours, DtlsRole.PASSIVE, [theirs.fingerprint], media=deaf is DtlsRole.ACTIVE)
    shake(client, server)
    assert client.state is server.state is DtlsState.CONNECTED
    assert client.keys is server.keys is None
    (datagram,) = client.send(b"messages alone")
    assert list(server.handle(datagram, 0.0).messages) == [b"messages alone"]


def renumbered(datagram: bytes, first: int) -> bytes:
    """The same records with numbers from `first` on, as if sent again by OpenSSL itself."""
    again = b""
    for number, record in enumerate(parse_dtls(datagram), start=first):
        part = datagram[record.start : record.end]
        again += part[:5] + number.to_bytes(6, "big") + part[11:]
    return again


def test_old_messages_before_new_ones_do_not_make_them_old() -> None:
    """OpenSSL's own timer, a second after its last flight, puts that before the next one."""
    client, server = both()
    (hello,) = client.start(0.0)
    (reply,) = server.handle(hello, 0.0).datagrams
    (flight,) = client.handle(reply, 0.0).datagrams
    (finish,) = server.handle(renumbered(hello, 60) + flight, 0.0).datagrams
    assert server.state is DtlsState.CONNECTED
    client.handle(renumbered(reply, 60) + finish, 0.0)
    assert client.state is DtlsState.CONNECTED


def test_gcm_is_preferred() -> None:
    client, server = both()
    shake(client, server)
    assert server.keys is not None
    assert server.keys.profile is SrtpProfile.AEAD_AES_128_GCM


@pytest.mark.parametrize("algorithm", ["sha-256", "sha-384", "sha-512"])
def test_a_fingerprint_may_use_any_of_three_functions(algorithm: str) -> None:
    theirs = identity("client")
    certificate = theirs.connect(DtlsRole.ACTIVE, ()).get_certificate()
    assert certificate is not None
    text = certificate.digest(algorithm.replace("-", "")).decode().replace(":", "")
    right = Fingerprint(algorithm, bytes.fromhex(text))
    client, _ = both()
    server = Dtls(identity("server"), DtlsRole.PASSIVE, [right])
    shake(client, server)
    assert server.state is DtlsState.CONNECTED


def test_the_strongest_function_decides() -> None:
    theirs = identity("client")
    client, _ = both()
    wrong = Fingerprint("sha-512", bytes(64))
    server = Dtls(identity("server"), DtlsRole.PASSIVE, [theirs.fingerprint, wrong])
    shake(client, server)
    assert server.state is DtlsState.FAILED
    assert server.mismatch
    assert client.state is DtlsState.FAILED
    assert not client.mismatch
    assert client.failure


@pytest.mark.parametrize("algorithm", [None, "sha-1", "md5"])
def test_without_a_fingerprint_that_can_be_trusted_nobody_is(algorithm: str | None) -> None:
    ours, theirs = identity("server"), identity("client")
    expected = [] if algorithm is None else [Fingerprint(algorithm, theirs.fingerprint.digest)]
    client = Dtls(theirs, DtlsRole.ACTIVE, [ours.fingerprint])
    server = Dtls(ours, DtlsRole.PASSIVE, expected)
    shake(client, server)
    assert server.state is DtlsState.FAILED
    assert server.mismatch


def test_a_large_client_hello_in_two_datagrams_is_understood() -> None:
    client, server = both()
    client._connection.set_alpn_protos([b"%032d" % index for index in range(38)])
    hello = client.start(0.0)
    assert len(hello) == 2
    assert max(map(len, hello)) <= MTU
    assert sum(map(len, hello)) > 1400
    flight = [reply for part in hello for reply in server.handle(part, 0.0).datagrams]
    answers = [reply for part in flight for reply in client.handle(part, 0.0).datagrams]
    for part in answers:
        server.handle(part, 0.0)
    assert server.state is DtlsState.CONNECTED


def test_a_large_client_hello_may_come_in_disorder() -> None:
    client, server = both()
    client._connection.set_alpn_protos([b"%032d" % index for index in range(38)])
    first, second = client.start(0.0)
    assert not server.handle(second, 0.0).datagrams
    assert server.handle(first, 0.0).datagrams


def test_a_flight_is_sent_again_verbatim_with_back_off_and_not_for_ever() -> None:
    client, _ = both()
    flight = client.start(0.0)
    dues: list[float] = []
    while (due := client.next_timeout()) is not None:
        assert not client.handle_timeout(due - 0.001)
        assert client.handle_timeout(due) == flight
        dues.append(due)
    assert len(dues) == MAX_RESENDS
    assert dues[0] == FIRST_RESEND
    assert dues[1] == pytest.approx(3 * FIRST_RESEND)


def test_a_repeated_hello_gets_the_same_flight_again_but_not_in_a_burst() -> None:
    client, server = both()
    (hello,) = client.start(0.0)
    flight = server.handle(hello, 0.0).datagrams
    assert flight
    assert not server.handle(hello, 0.001).datagrams
    assert server.handle(hello, 1.0).datagrams == flight
    echoes = sum(bool(server.handle(hello, 2.0 + index).datagrams) for index in range(100))
    assert echoes == MAX_ECHOES - 1


def test_the_last_flight_is_repeated_until_the_peer_shows_it_has_keys() -> None:
    client, server = both()
    shake(client, server)
    assert client.next_timeout() is None
    assert server.next_timeout() is not None
    server.confirm()
    assert server.next_timeout() is None


def test_a_repeated_flight_after_the_end_gets_the_last_one_again() -> None:
    client, server = both()
    flights = shake(client, server)
    for datagram in flights[2]:
        assert server.handle(datagram, 1.0).datagrams == flights[3]


def test_application_data_goes_both_ways() -> None:
    client, server = both()
    shake(client, server)
    (record,) = client.send(b"hello")
    assert server.handle(record, 0.0).messages == [b"hello"]
    (record,) = server.send(b"you")
    assert client.handle(record, 0.0).messages == [b"you"]


def test_data_that_overtakes_the_finished_is_not_lost() -> None:
    client, server = both()
    flights: list[Sequence[bytes]] = [client.start(0.0)]
    flights.append([d for part in flights[0] for d in server.handle(part, 0.0).datagrams])
    flights.append([d for part in flights[1] for d in client.handle(part, 0.0).datagrams])
    last = [d for part in flights[2] for d in server.handle(part, 0.0).datagrams]
    (early,) = server.send(b"early")
    messages = list(client.handle(early, 0.0).messages)
    for part in last:
        messages.extend(client.handle(part, 0.0).messages)
    assert messages in ([b"early"], [])
    assert client.state is DtlsState.CONNECTED


def test_close_notify_closes_the_other_end() -> None:
    client, server = both()
    shake(client, server)
    (notify,) = server.close()
    client.handle(notify, 0.0)
    assert client.state is DtlsState.CLOSED
    assert server.close() == ()


def test_closing_before_the_end_of_the_handshake_says_nothing() -> None:
    client, _ = both()
    client.start(0.0)
    assert client.close() == ()
    assert client.next_timeout() is None


def test_without_a_profile_in_common_there_are_no_keys() -> None:
    gcm = identity("gcm", (SrtpProfile.AEAD_AES_128_GCM,))
    cm = identity("cm", (SrtpProfile.AES128_CM_SHA1_80,))
    client, server = both(server=gcm, client=cm)
    shake(client, server)
    assert client.keys is None
    assert server.keys is None


def test_junk_after_the_handshake_is_ignored() -> None:
    client, server = both()
    shake(client, server)
    server.handle(bytes.fromhex("17fefd0001000000000009") + b"\x00\x20" + bytes(32), 0.0)
    server.handle(bytes.fromhex("15fefd000000000000000900020228"), 0.0)
    assert server.state is DtlsState.CONNECTED
    (record,) = client.send(b"fine")
    assert server.handle(record, 0.0).messages == [b"fine"]


def test_a_failure_without_a_reason_from_openssl_is_a_failure_too() -> None:
    client, server = both()
    (hello,) = client.start(0.0)
    absurd = hello[:14] + b"\xd0" + hello[15:]
    server.handle(absurd, 0.0)
    assert server.state is DtlsState.FAILED
    assert server.failure
    assert not server.mismatch


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(13, 600), st.integers(0, 255)), min_size=1, max_size=4))
def test_what_kills_one_handshake_does_not_touch_another_association(
    changes: list[tuple[int, int]],
) -> None:
    bystander = BYSTANDERS[0]
    client, server = both()
    hello = bytearray(client.start(0.0)[0])
    for position, value in changes:
        hello[13 + position % (len(hello) - 13)] = value
    server.handle(bytes(hello), 0.0)
    (record,) = bystander[0].send(b"x")
    assert bystander[1].handle(record, 0.0).messages == [b"x"]


@settings(max_examples=200, deadline=None)
@given(st.integers(20, 23), st.integers(0, 1), st.binary(min_size=1, max_size=80))
def test_no_junk_ends_a_finished_association(type_: int, epoch: int, body: bytes) -> None:
    client, server = BYSTANDERS[0]
    server.handle(bytes((type_, 0xFE, 0xFD, 0, epoch)) + bytes(7) + bytes((len(body),)) + body, 0.0)
    assert server.state is DtlsState.CONNECTED
    (record,) = client.send(b"y")
    assert server.handle(record, 0.0).messages == [b"y"]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.binary(max_size=80)
        | st.builds(
            lambda type_, body: (
                bytes((type_,)) + b"\xfe\xfd" + bytes(8) + bytes((0, len(body))) + body
            ),
            st.integers(20, 23),
            st.binary(min_size=1, max_size=80),
        ),
        max_size=6,
    ),
    st.sampled_from(list(DtlsRole)),
)
def test_any_datagrams_give_a_state_or_malformed(datagrams: list[bytes], role: DtlsRole) -> None:
    dtls = Dtls(identity("server"), role, [identity("client").fingerprint])
    dtls.start(0.0) if role is DtlsRole.ACTIVE else ()
    for index, datagram in enumerate(datagrams):
        try:
            result = dtls.handle(datagram, float(index))
        except Malformed:
            continue
        assert not result.messages
    assert dtls.state in (DtlsState.HANDSHAKE, DtlsState.FAILED, DtlsState.CLOSED)
    dtls.close()


def test_each_identity_has_a_certificate_of_its_own() -> None:
    assert identity("client").fingerprint != identity("server").fingerprint
    assert len(identity("client").fingerprint.digest) == 32


def linked_newest() -> int:
    """What the linked OpenSSL can, asked of it directly."""
    context = SSL.Context(SSL.DTLS_METHOD)
    try:
        context.set_max_proto_version(DTLS_1_3)
    except SSL.Error:
        return DTLS_1_2
    return DTLS_1_3


def test_what_the_linked_library_can_do_is_what_is_negotiated() -> None:
    client, server = shaken()
    assert client.version == server.version == identity("server").newest == linked_newest()
    assert client.keys is not None
    assert server.keys is not None
    assert client.keys.local == server.keys.remote


def test_dtls_1_0_is_not_spoken() -> None:
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_max_proto_version(0xFEFF)
    context.set_cipher_list(b"ALL:@SECLEVEL=0")
    old = SSL.Connection(context, None)
    old.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        old.do_handshake()
    _, server = both()
    server.handle(old.bio_read(4096), 0.0)
    assert server.state is DtlsState.FAILED


def test_what_the_peer_has_is_not_repeated() -> None:
    client, server = both()
    (hello,) = client.start(0.0)
    flight = server.handle(hello, 0.0).datagrams
    assert server.next_timeout() is not None
    server.acknowledge([1, 2, 3])
    assert server.flight == flight
    server.acknowledge([datagram_id(one) for one in flight])
    assert server.flight == []
    assert server.next_timeout() is None
    assert not server.settled


def test_nothing_is_repeated_before_its_answer_can_be_there() -> None:
    client, _ = both()
    client.round_trip = 0.5
    (hello,) = client.start(0.0)
    assert client.handle_timeout(FIRST_RESEND) == ()
    assert client.next_timeout() == 0.75
    assert client.handle_timeout(0.75) == [hello]


def test_a_prepared_hello_is_not_repeated_before_there_is_a_way() -> None:
    client, _ = both()
    client.prepare(0.0)
    assert client.flight
    assert client.next_timeout() is None
    client.arm(7.0)
    assert client.next_timeout() == 7.0 + FIRST_RESEND
