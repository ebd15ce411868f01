"""The sessions of a transceiver with real clients around it and the plainest of relays between.

Virtual time, no sockets: a record takes no time, a step of the clock is a millisecond at most.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from random import Random
from typing import TypeVar

from config.ids import ClusterId, Endpoint, Epoch, FlowKey, Instant, Route, TransceiverId, Transport
from ipc.messages.sessions import CloseReason
from tests.support.plane import Harness
from tests.support.sessions import identity
from workers.transceiver.backends.base import Backend
from workers.transceiver.backends.echo import Echo
from workers.transceiver.backends.exchange import Exchange
from workers.transceiver.core.admission import Settings
from workers.transceiver.core.entry import NewSession
from workers.transceiver.core.interface import (
    AudioReceived,
    Create,
    Created,
    DatagramReceived,
    Dropped,
    FromSession,
    IceCredentials,
    IceRole,
    Path,
    RecordReceived,
    SendAudio,
    SendDatagram,
    SendRecord,
    SessionClosed,
    SessionParameters,
    SessionsEvent,
    SessionsOutput,
    StandaloneEvent,
    StandaloneOutput,
)
from workers.transceiver.core.offer import OPUS, build_offer, parse_answer
from workers.transceiver.core.session import Session
from workers.transceiver.core.sessions import Sessions
from workers.transceiver.core.standalone import Standalone
from workers.transceiver.core.states import SessionState
from workers.wire.link import RecordType, encode_intro
from workers.wire.types import DropReason
from workers.wire.ufrag import UfragKeys

PUBLIC = Endpoint("192.0.2.1", 3478)
HOME = Endpoint("198.51.100.1", 4000)
RELAY = Endpoint("127.0.0.1", 40_000)
OTHER_RELAY = Endpoint("127.0.0.1", 40_001)
ROUTE = Route(ClusterId(7), TransceiverId(3), Epoch(9))
KEYS = UfragKeys({"a": bytes(range(16))}, "a")

Of = TypeVar("Of")


class Caller:
    """A client: the controlling side of a session, on one address, through one relay."""

    def __init__(self, rig: Rig, address: Endpoint, relay: Endpoint, backend: str) -> None:
        self.rig = rig
        self.relay = relay
        self.address = address
        self.outputs: list[StandaloneOutput] = []
        entropy = rig.random.randbytes
        local = IceCredentials(entropy(4).hex(), entropy(16).hex())
        offer = build_offer(local, identity("tandem").fingerprint, origin=1)
        created = next(
            output for output in rig.do(Create(5, offer, backend)) if isinstance(output, Created)
        )
        self.id = created.session
        self.tag = created.tag
        answer = parse_answer(created.answer)
        self.ufrag = answer.remote.ufrag
        parameters = SessionParameters(
            ice_role=IceRole.CONTROLLING,
            dtls_role=answer.dtls_role,
            local=local,
            remote=answer.remote,
            remote_fingerprints=answer.fingerprints,
            audio=answer.audio,
            remote_endpoints=(Path(Transport.UDP, answer.candidates[0], address),),
        )
        self.session = Standalone(Session(parameters, identity("tandem"), entropy, rig.now))
        rig.callers.append(self)

    @property
    def key(self) -> FlowKey:
        return FlowKey(Transport.UDP, self.address, PUBLIC)

    @property
    def label(self) -> int:
        """What the relay calls our flow."""
        return self.rig.label(self.relay, self.key)

    @property
    def connected(self) -> bool:
        return self.session.state is SessionState.CONNECTED

    @property
    def heard(self) -> list[bytes]:
        return [output.payload for output in self.outputs if isinstance(output, AudioReceived)]

    @property
    def ended(self) -> CloseReason | None:
        closed = [output for output in self.outputs if isinstance(output, SessionClosed)]
        return closed[0].reason if closed else None

    def do(self, event: StandaloneEvent) -> None:
        self._carry_out(self.session.handle(event, self.rig.now))

    def tick(self) -> None:
        timeout = self.session.next_timeout()
        if timeout is not None and timeout <= self.rig.now:
            self._carry_out(self.session.handle_timeout(self.rig.now))

    def speak(self, payload: bytes = b"frame", timestamp: int = 0) -> None:
        self.do(SendAudio(payload, timestamp, OPUS.payload_type))

    def receive(self, datagram: bytes) -> None:
        path = Path(Transport.UDP, PUBLIC, self.address)
        self.do(DatagramReceived(path, datagram))

    def _carry_out(self, outputs: list[StandaloneOutput]) -> None:
        self.outputs += outputs
        for output in outputs:
            if isinstance(output, SendDatagram):
                self.rig.to_transceiver(self.relay, self.key, output.datagram)


class Rig:
    """A transceiver's cores, relays that forward and label, and callers."""

    def __init__(
        self,
        backends: Mapping[str, Backend] | None = None,
        new_session: NewSession | None = None,
        max_sessions: int = 1000,
        max_busy: float = 1.0,
    ) -> None:
        self.now: Instant = 1000.0
        self.random = Random(1)
        self.callers: list[Caller] = []
        self.outputs: list[SessionsOutput] = []
        self.sent: list[SendRecord] = []
        """Records to relays."""
        self.lost: Callable[[SendRecord], bool] = lambda _: False
        self._labels: dict[tuple[Endpoint, FlowKey], int] = {}
        self._mail: deque[Callable[[], None]] = deque()
        backends = backends or {"echo": Echo()}
        settings = Settings(
            ROUTE,
            KEYS,
            identity("tandem").fingerprint,
            (PUBLIC,),
            frozenset(backends),
            max_sessions,
            max_busy,
        )
        self.harness = Harness(self._send, lambda: self.now)
        self.plane = self.harness.plane
        self.sessions = Sessions(
            settings, new_session or self.new_session, self.random.randbytes, self.plane.stats
        )
        self.exchange = Exchange(self.sessions, backends)
        self.harness.handle = self.exchange.handle

    def new_session(self, parameters: SessionParameters, now: Instant) -> Session:
        return Session(parameters, identity("tandem"), self.random.randbytes, now)

    def call(
        self,
        address: Endpoint = HOME,
        relay: Endpoint = RELAY,
        backend: str = "echo",
    ) -> Caller:
        return Caller(self, address, relay, backend)

    def connect(self, address: Endpoint = HOME) -> Caller:
        caller = self.call(address)
        self.run_until(lambda: caller.connected)
        # Its first consent check comes with the path proven on both sides.
        self.run(0.2)
        return caller

    def label(self, relay: Endpoint, key: FlowKey) -> int:
        return self._labels.setdefault((relay, key), 0x100 * (len(self._labels) + 1))

    def to_transceiver(self, relay: Endpoint, key: FlowKey, datagram: bytes) -> None:
        """What a relay does with a client's datagram."""
        label = self.label(relay, key)
        if datagram[0] < 4:
            record = RecordReceived(relay, RecordType.INTRO, 0, label, encode_intro(key, datagram))
        else:
            record = RecordReceived(relay, RecordType.DATA, 0, label, datagram)
        self._mail.append(lambda: void(self.do(record)))

    def do(self, event: SessionsEvent) -> list[SessionsOutput]:
        """Let the transceiver take an event."""
        outputs = self.harness.do(event)
        self.outputs += outputs
        return outputs

    def of(self, kind: type[Of]) -> list[Of]:
        """All outputs of that type so far, those inside FromSession included."""
        plain = [o.output if isinstance(o, FromSession) else o for o in self.outputs]
        return [output for output in plain if isinstance(output, kind)]

    def drops(self) -> list[DropReason]:
        return [output.reason for output in self.of(Dropped)]

    def records(self, type_: RecordType) -> list[tuple[Endpoint, int]]:
        """(relay, label) of the records of that type that were sent."""
        return [(record.relay, record.label) for record in self.sent if record.type is type_]

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self.now < end:
            self._step()
        assert self.sessions.counters.conserved

    def run_until(self, condition: Callable[[], bool], within: float = 5.0) -> None:
        end = self.now + within
        while not condition():
            assert self.now < end, "it did not happen in time"
            self._step()

    def _step(self) -> None:
        while self._mail:
            self._mail.popleft()()
        timeouts = [caller.session.next_timeout() for caller in self.callers]
        timeouts.append(self.exchange.next_timeout())
        due = min((t for t in timeouts if t is not None), default=self.now + 1.0)
        self.now = max(min(due, self.now + 0.05), self.now + 0.001)
        for caller in self.callers:
            caller.tick()
        timeout = self.exchange.next_timeout()
        if timeout is not None and timeout <= self.now:
            self.outputs += self.harness.carry_out(self.exchange.handle_timeout(self.now))

    def _send(self, record: SendRecord) -> None:
        self.sent.append(record)
        if record.type is RecordType.DATA and not self.lost(record):
            self._deliver(record)

    def _deliver(self, record: SendRecord) -> None:
        for (relay, key), label in self._labels.items():
            if (relay, label) == (record.relay, record.label):
                for caller in self.callers:
                    if caller.key == key:
                        datagram = record.payload
                        self._mail.append(lambda c=caller, d=datagram: c.receive(d))  # type: ignore[misc]


def void(_: object) -> None:
    """Nothing comes of it."""
