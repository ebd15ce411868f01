"""Two sessions and the network between them, in one thread and without a clock.

    pair = Pair()
    pair.run(1.0)
    assert pair.connected

Time is `pair.now`. A test bends the network by giving a `fate`: what becomes of one datagram.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from enum import Enum
from functools import cache
from typing import Final, TypeVar

import msgspec

from config.ids import Endpoint, Transport
from ipc.messages.sessions import CloseReason
from workers.transceiver.core.dtls import DtlsIdentity
from workers.transceiver.core.interface import (
    AudioParameters,
    AudioReceived,
    Codec,
    DatagramReceived,
    DataParameters,
    Dropped,
    DtlsRole,
    Fingerprint,
    IceCredentials,
    IceRole,
    Path,
    SendAudio,
    SendDatagram,
    SessionClosed,
    SessionParameters,
    StandaloneEvent,
    StandaloneOutput,
)
from workers.transceiver.core.sctp.snap import make_init
from workers.transceiver.core.session import Session
from workers.transceiver.core.srtp import SrtpProfile
from workers.transceiver.core.standalone import Standalone
from workers.transceiver.core.states import SessionState
from workers.wire.types import DropReason

DELAY: Final = 0.01
"""Seconds one way, unless a fate says otherwise."""
OPUS: Final = Codec("opus", 111, 48000, 2)
PCMU: Final = Codec("pcmu", 0, 8000)
CLIENT: Final = Endpoint("192.0.2.1", 50000)
SERVER: Final = Endpoint("198.51.100.1", 3478)
CLIENT_CREDENTIALS: Final = IceCredentials("cLnt", "client-password-client")
SERVER_CREDENTIALS: Final = IceCredentials("sRvr", "server-password-server")
MAX_STEPS: Final = 100_000

Output = TypeVar("Output", bound=StandaloneOutput)


class End(Enum):
    """One of the two."""

    CLIENT = "client"
    SERVER = "server"

    @property
    def other(self) -> End:
        return End.SERVER if self is End.CLIENT else End.CLIENT


Fate = Callable[[End, bytes], Iterable[float]]
"""Sender and datagram -> delay of each copy that arrives; none if it is lost."""


def prompt(_sender: End, _datagram: bytes) -> Iterable[float]:
    """Everything arrives once, in order."""
    return (DELAY,)


def entropy(seed: str) -> Callable[[int], bytes]:
    """Bytes that look random and are the same in every run."""
    counter = itertools.count()

    def draw(size: int) -> bytes:
        return hashlib.shake_128(f"{seed}/{next(counter)}".encode()).digest(size)

    return draw


@cache
def identity(name: str, profiles: tuple[SrtpProfile, ...] = tuple(SrtpProfile)) -> DtlsIdentity:
    """A certificate per name; making one takes longer than most tests."""
    return DtlsIdentity(entropy(name), profiles)


def is_dtls(datagram: bytes) -> bool:
    """RFC 7983."""
    return 20 <= datagram[0] <= 63


def is_stun(datagram: bytes) -> bool:
    """RFC 7983."""
    return datagram[0] <= 3


class Pair:
    """A controlling client, a controlled server and a network."""

    def __init__(
        self,
        *,
        fate: Fate = prompt,
        client_dtls: DtlsRole = DtlsRole.ACTIVE,
        profiles: tuple[SrtpProfile, ...] = tuple(SrtpProfile),
        client_address: Endpoint = CLIENT,
        server_address: Endpoint = SERVER,
        client_password: str = CLIENT_CREDENTIALS.password,
        believed_password: str = SERVER_CREDENTIALS.password,
        expected_client: Fingerprint | None = None,
        expected_server: Fingerprint | None = None,
        codecs: tuple[Codec, ...] = (OPUS, PCMU),
        audio: bool = True,
        data: bool = False,
        snap: bool = False,
        sped: bool = False,
        client_ssrc: int | None = None,
        max_duration: float = 0.0,
        idle_timeout: float = 0.0,
    ) -> None:
        """`max_duration` and `idle_timeout` are the server's."""
        self.now = 0.0
        self.fate = fate
        self.seen_as = client_address
        """The client's address as the server sees it; set it to rebind the client's NAT."""
        self.log: list[tuple[float, End, StandaloneOutput]] = []
        self.sent: list[tuple[End, Path, bytes]] = []
        self._flying: list[tuple[float, int, End, Path, bytes]] = []
        self._serial = itertools.count()
        server_dtls = DtlsRole.PASSIVE if client_dtls is DtlsRole.ACTIVE else DtlsRole.ACTIVE
        client_identity, server_identity = identity("client", profiles), identity("server")
        parameters = AudioParameters("0", codecs, sends=True, receives=True) if audio else None
        inits = [make_init(entropy(name)) if snap else b"" for name in ("ci", "si")]
        channels, mirrored = (
            DataParameters("1", 5000, 0, our_init=ours, their_init=theirs) if data else None
            for ours, theirs in (inits, inits[::-1])
        )
        self.client_path = Path(Transport.UDP, server_address, client_address)
        self.server_path = Path(Transport.UDP, client_address, server_address)
        self.client = Standalone(
            Session(
                SessionParameters(
                    IceRole.CONTROLLING,
                    client_dtls,
                    msgspec.structs.replace(CLIENT_CREDENTIALS, password=client_password),
                    msgspec.structs.replace(SERVER_CREDENTIALS, password=believed_password),
                    (expected_server or server_identity.fingerprint,),
                    parameters,
                    (self.client_path,),
                    data=channels,
                    sped=sped,
                    ssrc=client_ssrc,
                ),
                client_identity,
                entropy("c"),
                self.now,
            )
        )
        self.server = Standalone(
            Session(
                SessionParameters(
                    IceRole.CONTROLLED,
                    server_dtls,
                    SERVER_CREDENTIALS,
                    CLIENT_CREDENTIALS,
                    (expected_client or client_identity.fingerprint,),
                    parameters,
                    data=mirrored,
                    sped=sped,
                    max_duration=max_duration,
                    idle_timeout=idle_timeout,
                ),
                server_identity,
                entropy("s"),
                self.now,
            )
        )

    # --- events -----------------------------------------------------------------------------------

    def session(self, end: End) -> Standalone:
        """The session at one end."""
        return self.client if end is End.CLIENT else self.server

    def do(self, end: End, event: StandaloneEvent) -> list[StandaloneOutput]:
        """One event now; what it sends goes on its way."""
        return self._take(end, self.session(end).handle(event, self.now))

    def inject(self, end: End, path: Path, datagram: bytes) -> list[StandaloneOutput]:
        """A datagram arrives from anywhere."""
        return self.do(end, DatagramReceived(path, datagram))

    def speak(self, end: End, payload: bytes = b"voice", timestamp: int = 0) -> bytes:
        """Send one Opus frame; the SRTP datagram that carries it."""
        (output,) = self.do(end, SendAudio(payload, timestamp, OPUS.payload_type))
        assert isinstance(output, SendDatagram)
        return output.datagram

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.run_until(lambda: False, self.now + seconds)

    def run_until(self, condition: Callable[[], bool], deadline: float = 60.0) -> None:
        """Let time pass until something holds or the deadline (an instant) has come."""
        for _ in range(MAX_STEPS):
            if condition():
                return
            due = self._next_due()
            if due is None or due > deadline:
                self.now = max(self.now, deadline)
                return
            self.now = max(self.now, due)
            self._step()
        raise AssertionError("the sessions never come to rest")

    def connect(self) -> Pair:
        """Run until both ends are connected, and what is in flight has landed."""
        self.run_until(lambda: self.connected)
        self.run(3 * DELAY)
        assert self.connected
        return self

    def _next_due(self) -> float | None:
        dues = [self.client.next_timeout(), self.server.next_timeout()]
        if self._flying:
            dues.append(self._flying[0][0])
        return min((due for due in dues if due is not None), default=None)

    def _step(self) -> None:
        if self._flying and self._flying[0][0] <= self.now:
            _due, _serial, end, path, datagram = heapq.heappop(self._flying)
            # A NAT that has rebound sends what comes to the old address nowhere.
            if end is End.SERVER or path.local == self.seen_as:
                arrival = path if end is End.SERVER else self.client_path
                self.inject(end, arrival, datagram)
            return
        for end in End:
            due = self.session(end).next_timeout()
            if due is not None and due <= self.now:
                self._take(end, self.session(end).handle_timeout(self.now))

    def _take(self, end: End, outputs: list[StandaloneOutput]) -> list[StandaloneOutput]:
        for output in outputs:
            self.log.append((self.now, end, output))
            if isinstance(output, SendDatagram):
                self._send(end, output.path, output.datagram)
        return outputs

    def _send(self, end: End, path: Path, datagram: bytes) -> None:
        self.sent.append((end, path, datagram))
        source = self.seen_as if end is End.CLIENT else path.local
        arrival = Path(path.transport, source, path.remote)
        for delay in self.fate(end, datagram):
            heapq.heappush(
                self._flying, (self.now + delay, next(self._serial), end.other, arrival, datagram)
            )

    # --- what happened ----------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Both ends are."""
        return all(self.session(end).state is SessionState.CONNECTED for end in End)

    def outputs(self, end: End, kind: type[Output]) -> list[Output]:
        """All outputs of one kind so far."""
        return [output for _, who, output in self.log if who is end and isinstance(output, kind)]

    def drops(self, end: End) -> Counter[DropReason]:
        """Drops by reason."""
        return Counter(output.reason for output in self.outputs(end, Dropped))

    def heard(self, end: End) -> list[bytes]:
        """Payloads that arrived."""
        return [output.payload for output in self.outputs(end, AudioReceived)]

    def ended(self, end: End) -> CloseReason | None:
        """Why it closed."""
        closed = self.outputs(end, SessionClosed)
        assert len(closed) <= 1
        return closed[0].reason if closed else None
