"""DTLS for one session, by OpenSSL over memory BIOs; it makes the SRTP keys (RFC 5764).

The only file that knows pyOpenSSL. What it does beside OpenSSL, and why:

* OpenSSL's first retransmission comes after a fixed second. We keep our last flight and send it again
  verbatim, after 80 ms with back-off and whenever the peer repeats the flight that ours answers. The
  peer's replay window throws away what it already has, so a repetition is always harmless.
* A memory BIO glues datagrams together: we cut its output at the record headers.
* DTLS 1.3 is spoken as soon as the linked OpenSSL can; nothing else here depends on the version but who
  sends the last flight.
* A certificate is right if its fingerprint is the one in the SDP (RFC 8122); no authority signs it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto

from config.ids import Instant
from workers.transceiver.core.interface import DtlsRole, Fingerprint
from workers.transceiver.core.srtp import SrtpKeys, SrtpProfile
from workers.wire.dtls import ContentType, message_sequence, parse_dtls, split_datagrams
from workers.wire.sped import datagram_id
from workers.wire.types import DropReason, Malformed

MTU: Final = 1200
DTLS_1_2, DTLS_1_3 = 0xFEFD, 0xFEFC
"""As on the wire: newer is less."""
FIRST_RESEND: Final = 0.08
"""Seconds from a flight to its first repetition; doubles up to MAX_RESEND_INTERVAL."""
MAX_RESEND_INTERVAL: Final = 1.28
MAX_RESENDS: Final = 8
"""Repetitions of one flight by the clock. The session's connect timeout ends what is left."""
MAX_ECHOES: Final = 16
"""Repetitions of one flight because the peer repeated its own."""
ECHO_INTERVAL: Final = 0.02

_EXPORTER: Final = b"EXTRACTOR-dtls_srtp"
_CIPHERS: Final = b"ECDHE+AESGCM:ECDHE+CHACHA20"
_READ_SIZE: Final = 65536
# Strongest first. RFC 8122, 5: the check uses the best function that both sides know.
_DIGESTS: Final = ("sha-512", "sha-384", "sha-256")
# A certificate that nobody validates by date; fixed dates tell nothing about this host.
_NOT_BEFORE: Final = datetime(2020, 1, 1, tzinfo=UTC)
_NOT_AFTER: Final = datetime(2049, 12, 31, tzinfo=UTC)


class DtlsIdentity:
    """A self-signed ECDSA P-256 certificate and the contexts made of it; one per process."""

    def __init__(
        self, entropy: Callable[[int], bytes], profiles: Sequence[SrtpProfile] = tuple(SrtpProfile)
    ) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "WebRTC")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1 + (int.from_bytes(entropy(16), "big") >> 1))
            .not_valid_before(_NOT_BEFORE)
            .not_valid_after(_NOT_AFTER)
            .sign(key, hashes.SHA256())
        )
        der = certificate.public_bytes(serialization.Encoding.DER)
        self.fingerprint: Final = Fingerprint("sha-256", hashlib.sha256(der).digest())
        self._context: Final = _make_context(certificate, key, profiles)
        self._silent: Final = _make_context(certificate, key, ())
        """For sessions without media."""
        _allow_newest(self._silent)
        self.newest: Final = _allow_newest(self._context)
        """The newest version of DTLS that the linked OpenSSL has, and so the one we offer."""

    def connect(
        self, role: DtlsRole, expected: Sequence[Fingerprint], *, media: bool = True
    ) -> SSL.Connection:
        """A connection that accepts only a certificate with an expected fingerprint.

        With `media` it negotiates SRTP, too.
        """
        connection = SSL.Connection(self._context if media else self._silent, None)
        connection.set_ciphertext_mtu(MTU)
        connection.set_app_data(_Expectation(expected))
        if role is DtlsRole.ACTIVE:
            connection.set_connect_state()
        else:
            connection.set_accept_state()
        return connection


def _make_context(
    certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, profiles: Sequence[SrtpProfile]
) -> SSL.Context:
    context = SSL.Context(SSL.DTLS_METHOD)
    # Without NO_QUERY_MTU OpenSSL forgets the MTU we set and asks a BIO that has none.
    context.set_options(SSL.OP_NO_QUERY_MTU | SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_cipher_list(_CIPHERS)
    context.use_certificate(certificate)
    context.use_privatekey(key)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _verify)
    if profiles:
        context.set_tlsext_use_srtp(b":".join(profile.value for profile in profiles))
    return context


def _allow_newest(context: SSL.Context) -> int:
    """Allow what the library has, and say what that is: no release says it of itself."""
    context.set_min_proto_version(DTLS_1_2)
    try:
        context.set_max_proto_version(DTLS_1_3)
    except SSL.Error:
        context.set_max_proto_version(DTLS_1_2)
        return DTLS_1_2
    return DTLS_1_3


class _Expectation:
    """What the SDP said of the peer's certificate, and whether that came true."""

    __slots__ = ("_digests", "_function", "met", "missed")

    def __init__(self, fingerprints: Sequence[Fingerprint]) -> None:
        offered = {fingerprint.algorithm for fingerprint in fingerprints}
        self._function = next((name for name in _DIGESTS if name in offered), None)
        self._digests = {f.digest for f in fingerprints if f.algorithm == self._function}
        self.met = False
        self.missed = False

    def judge(self, certificate: crypto.X509) -> bool:
        if self._function is not None:
            text = certificate.digest(self._function.replace("-", "")).decode()
            self.met = bytes.fromhex(text.replace(":", "")) in self._digests
        self.missed = not self.met
        return self.met


def _verify(
    connection: SSL.Connection, certificate: crypto.X509, _error: int, depth: int, _ok: int
) -> bool:
    """OpenSSL asks for each certificate of the chain; only the peer's own (depth 0) matters."""
    expectation = connection.get_app_data()
    return depth > 0 or (isinstance(expectation, _Expectation) and expectation.judge(certificate))


class DtlsState(Enum):
    """HANDSHAKE goes to CONNECTED or FAILED; CONNECTED to CLOSED or FAILED."""

    HANDSHAKE = "handshake"
    CONNECTED = "connected"
    CLOSED = "closed"
    FAILED = "failed"


class DtlsResult(NamedTuple):
    """What came of a datagram."""

    datagrams: Sequence[bytes] = ()
    """To send to the peer, each at most MTU bytes."""
    messages: Sequence[bytes] = ()
    """Application data (SCTP) from the peer."""


class Dtls:
    """One association. Feed it only datagrams of a verified path: junk can kill a handshake."""

    def __init__(
        self,
        identity: DtlsIdentity,
        role: DtlsRole,
        expected: Sequence[Fingerprint],
        mtu: int = MTU,
        *,
        media: bool = True,
    ) -> None:
        """`mtu`: of the datagrams of a flight. Without `media` no SRTP is negotiated."""
        self.state = DtlsState.HANDSHAKE
        self.keys: SrtpKeys | None = None
        """Set with CONNECTED, if the peer negotiated SRTP."""
        self.failure = ""
        """Why it FAILED, in OpenSSL's words."""
        self.round_trip = 0.0
        """Seconds, if it was measured: no flight is repeated before its answer can be there."""
        self._sent_at: Instant = 0.0
        self._role = role
        self._mtu = mtu
        self._newest = identity.newest
        self._connection = identity.connect(role, expected, media=media)
        self._flight: Sequence[bytes] = ()
        self._seen = -1
        self._answered = -1
        self._resend_at: Instant | None = None
        self._interval = FIRST_RESEND
        self._resends = 0
        self._echoes = 0
        self._echo_after: Instant = 0.0

    @property
    def mismatch(self) -> bool:
        """True if it FAILED because the certificate was not the one in the SDP."""
        expectation = self._connection.get_app_data()
        return isinstance(expectation, _Expectation) and expectation.missed

    def start(self, now: Instant) -> Sequence[bytes]:
        """Active role: the ClientHello."""
        return self._advance(now).datagrams

    def prepare(self, now: Instant) -> None:
        """Active role: make the ClientHello (`flight`), but do not repeat it before `arm`."""
        self.start(now)
        self._resend_at = None

    def arm(self, now: Instant) -> None:
        """There is a way to the peer: what was prepared may be repeated from now on."""
        if self._flight and self._resend_at is None:
            self._sent_at, self._resend_at = now, now + self._interval

    def handle(self, datagram: bytes, now: Instant) -> DtlsResult:
        """Take one datagram. Raises Malformed(MALFORMED_DTLS) if it is not made of DTLS records."""
        records = parse_dtls(datagram)
        if self._newest == DTLS_1_2 and any(r.type is ContentType.CIPHERTEXT for r in records):
            raise Malformed(DropReason.MALFORMED_DTLS, "a record of DTLS 1.3")
        sequences = [message_sequence(datagram, record) for record in records]
        if self.state in (DtlsState.CLOSED, DtlsState.FAILED):
            return DtlsResult()
        known = [sequence for sequence in sequences if sequence is not None]
        # OpenSSL's own timer, a second after a flight, puts it before the next one: old messages may
        # have new ones behind them, or the end of the handshake, which has no number that we can read.
        ending = self.state is DtlsState.HANDSHAKE and len(known) < len(records)
        if known and max(known) <= self._answered and not ending:
            return DtlsResult(self._echo(now))
        self._seen = max(self._seen, *known) if known else self._seen
        self._connection.bio_write(datagram)
        return self._advance(now) if self.state is DtlsState.HANDSHAKE else self._read()

    def send(self, message: bytes) -> Sequence[bytes]:
        """Encrypt one piece of application data, at most about MTU - 40 bytes, if CONNECTED."""
        if self.state is not DtlsState.CONNECTED:
            return ()
        self._connection.send(message)
        return self._drain()

    def acknowledge(self, ids: Collection[int]) -> None:
        """The peer says that it has these datagrams, by `datagram_id`: never send them again."""
        self._flight = [one for one in self._flight if datagram_id(one) not in ids]
        if not self._flight:
            self._resend_at = None

    @property
    def settled(self) -> bool:
        """The handshake is over, one way or the other, and nothing of ours is missing at the peer."""
        return self.state is not DtlsState.HANDSHAKE and not self._flight

    def confirm(self) -> None:
        """The peer has our last flight (it sends with the keys): never send it again.

        Not even as an echo: a late ClientHello on this path is another session's, whose client uses
        the port again, and our old flight would upset its handshake for good.
        """
        self._resend_at = None
        self._flight = ()

    @property
    def version(self) -> int | None:
        """What was negotiated, as on the wire; None before."""
        if self.state is DtlsState.HANDSHAKE:
            return None
        return self._connection.get_protocol_version()

    def close(self) -> Sequence[bytes]:
        """Say close_notify, if there is anybody to say it to."""
        was, self.state = self.state, DtlsState.CLOSED
        self.confirm()
        if was is not DtlsState.CONNECTED:
            return ()
        try:
            self._connection.shutdown()
        except SSL.Error:
            return ()
        return self._drain()

    def next_timeout(self) -> Instant | None:
        """When the last flight is to be sent again."""
        return self._resend_at

    def handle_timeout(self, now: Instant) -> Sequence[bytes]:
        """The last flight, if its time has come."""
        if self._resend_at is None or now < self._resend_at:
            return ()
        patience = self._sent_at + min(1.5 * self.round_trip, MAX_RESEND_INTERVAL)
        if now < patience:
            self._resend_at = patience
            return ()
        self._resends += 1
        self._interval = min(self._interval * 2, MAX_RESEND_INTERVAL)
        self._resend_at = now + self._interval if self._resends < MAX_RESENDS else None
        return self._flight

    @property
    def flight(self) -> Sequence[bytes]:
        """The last flight: to be sent again if a path would not carry it before."""
        return self._flight

    def _echo(self, now: Instant) -> Sequence[bytes]:
        if now < self._echo_after or self._echoes >= MAX_ECHOES:
            return ()
        self._echoes += 1
        self._echo_after = now + ECHO_INTERVAL
        return self._flight

    def _advance(self, now: Instant) -> DtlsResult:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return DtlsResult(self._new_flight(now))
        except SSL.Error as error:
            return DtlsResult(self._fail(error))
        flight = self._new_flight(now)
        self._complete()
        # The peer may have sent data behind its Finished, in this datagram or an earlier one.
        reply = self._read()
        return DtlsResult((*flight, *reply.datagrams), reply.messages)

    def _new_flight(self, now: Instant) -> Sequence[bytes]:
        flight = self._drain()
        if flight:
            self._flight, self._answered = flight, self._seen
            self._resends, self._echoes, self._interval = 0, 0, FIRST_RESEND
            self._echo_after = now + ECHO_INTERVAL
            self._sent_at, self._resend_at = now, now + FIRST_RESEND
        return flight

    def _complete(self) -> None:
        self.state = DtlsState.CONNECTED
        # The passive end of DTLS 1.2 speaks last, the active one of 1.3 (RFC 9147, 5.7). It goes on
        # repeating that flight: nothing tells it that it arrived, but media.
        last = DtlsRole.PASSIVE if self.version == DTLS_1_2 else DtlsRole.ACTIVE
        if self._role is not last:
            self.confirm()
        name = self._connection.get_selected_srtp_profile()
        if not name:
            return
        profile = SrtpProfile(name)
        key, salt = profile.key_length, profile.salt_length
        material = self._connection.export_keying_material(_EXPORTER, 2 * (key + salt))
        salts = material[2 * key :]
        client = material[:key] + salts[:salt]
        server = material[key : 2 * key] + salts[salt:]
        if self._role is DtlsRole.ACTIVE:
            self.keys = SrtpKeys(profile, local=client, remote=server)
        else:
            self.keys = SrtpKeys(profile, local=server, remote=client)

    def _read(self) -> DtlsResult:
        messages: list[bytes] = []
        while True:
            try:
                messages.append(self._connection.recv(_READ_SIZE))
                self.confirm()
            except SSL.WantReadError:
                return DtlsResult(self._drain(), messages)
            except SSL.ZeroReturnError:
                self.state = DtlsState.CLOSED
                self.confirm()
                return DtlsResult(self._drain(), messages)
            except SSL.Error as error:
                return DtlsResult(self._fail(error), messages)

    def _fail(self, error: SSL.Error) -> Sequence[bytes]:
        self.state, self._resend_at, self._flight = DtlsState.FAILED, None, ()
        # Usually one list of (library, function, reason); a SysCallError has (number, text).
        first = error.args[0] if error.args else ()
        reasons = (
            [str(entry[-1]) for entry in first] if isinstance(first, list) else map(str, error.args)
        )
        self.failure = "; ".join(reasons) or "unknown"
        return self._drain()

    def _drain(self) -> list[bytes]:
        chunks: list[bytes] = []
        while True:
            try:
                chunks.append(self._connection.bio_read(_READ_SIZE))
            except SSL.WantReadError:
                return split_datagrams(b"".join(chunks), self._mtu)
