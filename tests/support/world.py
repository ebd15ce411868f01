"""The whole house in one process and virtual time: callers, a relay and a transceiver, all cores real.

    Client --wan--> RelayHost (Relay core, DictDatapath) --link--> TransceiverHost (Sessions core, echo)

`with World() as world:` asserts at its end what must hold after every scenario: the laws of
conservation, and that no session met a bug.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self, assert_never

from config.ids import (
    ClusterId,
    Endpoint,
    Epoch,
    FlowKey,
    Route,
    SessionId,
    TransceiverId,
    Transport,
)
from ipc.messages.sessions import CloseReason
from tests.support.datapath import DictDatapath
from tests.support.network import Leg, Network, Transit
from tests.support.plane import Harness
from workers.caller.call import GRACE, Call, Stage
from workers.caller.echoes import Figures
from workers.caller.source import FRAME_SECONDS, SilentOpus
from workers.caller.voice import Speaker
from workers.relay.core import interface as relay_core
from workers.relay.core.relay import Relay
from workers.relay.core.ways import Neighbours
from workers.transceiver.backends.echo import Echo
from workers.transceiver.backends.exchange import Exchange
from workers.transceiver.core.admission import Settings
from workers.transceiver.core.dtls import DtlsIdentity
from workers.transceiver.core.fragment import encode_restart, read_fragment
from workers.transceiver.core.interface import (
    CloseSession,
    Crashed,
    Create,
    Created,
    ForSession,
    FromSession,
    IceCredentials,
    IcePatched,
    IceRole,
    PatchIce,
    Path,
    PathSelected,
    RecordReceived,
    Refused,
    SendDatagram,
    SendRecord,
    SessionClosed,
    SessionParameters,
    SessionsEvent,
    SessionsOutput,
    StateChanged,
)
from workers.transceiver.core.offer import OPUS, Answer, build_offer, parse_answer
from workers.transceiver.core.session import Session
from workers.transceiver.core.sessions import Sessions
from workers.transceiver.core.standalone import Standalone
from workers.transceiver.core.states import SessionState
from workers.wire.link import encode_record, parse_records
from workers.wire.ufrag import UfragKeys

PUBLIC: Final = Endpoint("192.0.2.1", 3478)
PUBLIC_V6: Final = Endpoint("2001:db8::1", 3478)
RELAY_LINK: Final = Endpoint("127.0.0.1", 7000)
RELAY_LINK_2: Final = Endpoint("127.0.0.1", 6999)
KEYS: Final = UfragKeys({"k": bytes(range(16))}, "k")
FOR_EVER: Final = 10**9
"""Frames of a call that talks until it is told to stop."""


class World:
    """One relay, one transceiver, and what clients there come to be."""

    def __init__(
        self,
        seed: int = 0,
        *,
        delay: float = 0.02,
        consent_timeout: float = 30.0,
        max_duration: float = 0.0,
        idle_timeout: float = 0.0,
        sped: bool = False,
    ) -> None:
        self.sped = sped
        """Clients offer to put DTLS into their checks."""
        self.network = Network(seed)
        self.wan = Leg("wan", delay)
        self.link = Leg("link", 0.0001)
        self.consent_timeout = consent_timeout
        self.max_duration, self.idle_timeout = max_duration, idle_timeout
        self.server_identity = DtlsIdentity(self.network.entropy)
        self.client_identity = DtlsIdentity(self.network.entropy)
        self.clients: list[Client] = []
        self.relays: list[RelayHost] = []
        self.cache: dict[FlowKey, Route] = {}
        """What the flow cache has; it answers at once."""
        self.transceivers: list[TransceiverHost] = []
        self.relay = RelayHost(self)
        self.transceiver = TransceiverHost(self, Epoch(1))
        self.relay.handle(relay_core.RouteAdded(self.transceiver.route, self.transceiver.address))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.check_laws()

    @property
    def now(self) -> float:
        return self.network.now

    def check_laws(self) -> None:
        for relay in self.relays:
            assert relay.datapath.conserved
        for transceiver in self.transceivers:
            assert transceiver.sessions.counters.conserved

    def call(
        self,
        address: str = "198.51.100.7:40000",
        *,
        frames: int = FOR_EVER,
        audio: bool = True,
        data: bool = False,
        patience: float = GRACE,
    ) -> Client:
        """A client that has an answer and begins to check."""
        client = Client(self, Endpoint.parse(address), frames)
        client.audio, client.data, client.patience = audio, data, patience
        client.dial()
        return client

    def connected_call(
        self, address: str = "198.51.100.7:40000", *, frames: int = FOR_EVER
    ) -> Client:
        """A client whose audio comes back."""
        client = self.call(address, frames=frames)
        self.network.run_until(lambda: client.echoes.received > 0, within=10)
        return client

    def run(self, seconds: float) -> None:
        self.network.run(seconds)

    def restart_relay(self) -> None:
        """A new process with the same sockets that knows nothing but the routes."""
        self.network.remove(self.relay)
        self.relay = RelayHost(self)
        self.relay.handle(relay_core.RouteAdded(self.transceiver.route, self.transceiver.address))

    def steer_to_sibling(self) -> None:
        """From now on datagrams come to another worker of the same relay."""
        old = self.relay
        self.relay = RelayHost(self, RELAY_LINK_2, [old.datapath])
        old.datapath.siblings.append(self.relay.datapath)
        self.relay.handle(relay_core.RouteAdded(self.transceiver.route, self.transceiver.address))

    def steer_back(self) -> None:
        """And again to the first one."""
        for public in (PUBLIC, PUBLIC_V6):
            self.network.listen("wan", public, self.relays[0].from_client)
        self.relay = self.relays[0]

    def restart_transceiver(self) -> None:
        """A new boot with a new epoch and link socket; all sessions are gone."""
        old = self.transceiver
        self.network.remove(old)
        self.network.close("link", old.address)
        self.transceiver = TransceiverHost(self, Epoch(old.route.epoch + 1))
        self.relay.handle(relay_core.RouteRemoved(old.route))
        self.relay.handle(relay_core.RouteAdded(self.transceiver.route, self.transceiver.address))


class Client:
    """A caller behind a NAT, of which only the outside is seen."""

    HOME: Final = Endpoint("198.51.100.7", 40000)

    def __init__(self, world: World, outside: Endpoint, frames: int) -> None:
        self._world = world
        self._network = world.network
        self._inside = Endpoint("::" if outside.is_ipv6 else "0.0.0.0", 40000)
        self._frames = frames
        self.outside = outside
        self.number = len(world.clients)
        self.session_id = SessionId("")
        self.local = self._credentials()
        self.remote = IceCredentials("", "")
        self.audio, self.data = True, False
        """What it offers."""
        self.patience = GRACE
        self.call: Call
        world.clients.append(self)
        self._network.listen("wan", outside, self._receive)

    @property
    def echoes(self) -> Figures:
        return self.call.voice.figures

    def offer(self) -> str:
        return build_offer(
            self.local,
            self._world.client_identity.fingerprint,
            origin=1,
            codecs=(OPUS,) if self.audio else (),
            data=self.data,
            sped=self._world.sped,
        )

    def dial(self) -> None:
        """Offer, answer, first check."""
        session_id, answer = self._world.transceiver.create(self.offer())
        self.session_id = session_id
        self.begin(parse_answer(answer))

    def begin(self, answer: Answer) -> None:
        """First check, by this answer."""
        self.remote = answer.remote
        same_family = [c for c in answer.candidates if c.is_ipv6 == self.outside.is_ipv6]
        now = self._network.now
        session = Session(
            SessionParameters(
                ice_role=IceRole.CONTROLLING,
                dtls_role=answer.dtls_role,
                local=self.local,
                remote=answer.remote,
                remote_fingerprints=answer.fingerprints,
                audio=answer.audio,
                data=answer.data,
                remote_endpoints=tuple(Path(Transport.UDP, c, self._inside) for c in same_family),
                consent_timeout=self._world.consent_timeout,
                sped=answer.sped,
            ),
            self._world.client_identity,
            self._network.entropy,
            now,
        )
        self.call = Call(
            Standalone(session),
            Speaker(
                SilentOpus(self.number) if self.audio else None,
                OPUS if self.audio else None,
                frames=self._frames,
                first_timestamp=2**32 - 100_000,
            ),
            now=now,
            data=self.data,
            patience=self.patience,
        )
        self._tick()

    def rebind(self, address: str) -> None:
        """The NAT gives it another outside address; what comes to the old one is lost."""
        self._network.close("wan", self.outside)
        self.outside = Endpoint.parse(address)
        self._network.listen("wan", self.outside, self._receive)

    def restart(self, *, http: float = 0.05) -> None:
        """ICE restart over HTTP, which takes that long; nothing else waits for it."""
        local = self._credentials()
        said = self._world.transceiver.patch(self.session_id, encode_restart(local))
        remote = read_fragment(said).credentials
        assert remote is not None

        def answered() -> None:
            self.local, self.remote = local, remote
            self._send(self.call.restart(local, remote, self._network.now))

        self._network.after(http, answered)

    def notice_network(self) -> None:
        """It learns that its address has changed, as a system tells its programs."""
        self._send(self.call.network_changed(self._network.now))

    def _credentials(self) -> IceCredentials:
        return IceCredentials(self._network.entropy(4).hex(), self._network.entropy(16).hex())

    def hang_up(self) -> None:
        self._send(self.call.hang_up(self._network.now))

    def stop_talking(self) -> None:
        self.call.stop_talking()

    def vanish(self) -> None:
        """Gone without a word."""
        self.call.stage = Stage.OVER
        self._network.close("wan", self.outside)

    def _tick(self) -> None:
        if self.call.stage is not Stage.OVER:
            self._send(self.call.tick(self._network.now))
            self._network.after(FRAME_SECONDS, self._tick)

    def _receive(self, transit: Transit) -> None:
        path = Path(Transport.UDP, transit.source, self._inside)
        self._send(self.call.receive(path, transit.datagram, self._network.now))

    def _send(self, sends: list[SendDatagram]) -> None:
        for send in sends:
            self._network.send(self._world.wan, self.outside, send.path.remote, send.datagram)


class RelayHost:
    """The relay core between its datapath and the network."""

    SWEEP: Final = 1.0

    def __init__(
        self,
        world: World,
        link: Endpoint = RELAY_LINK,
        siblings: Sequence[DictDatapath] = (),
        *,
        public: Sequence[Endpoint] = (PUBLIC, PUBLIC_V6),
        ingress: Endpoint | None = None,
        neighbours: Neighbours = Neighbours(),  # noqa: B008  # a value
    ) -> None:
        self.link = link
        self.ingress = ingress
        self._network = world.network
        self._next_sweep = world.now + self.SWEEP
        self.core = Relay(
            KEYS,
            world.network.entropy,
            max_flows=4096,
            max_pending=512,
            neighbours=neighbours,
            now=world.now,
        )
        self.datapath = DictDatapath(
            to_link=lambda to, data: world.network.send(world.link, link, to, data),
            to_client=self._to_client,
            idle=60.0,
            siblings=siblings,
        )
        self.refused: list[relay_core.Dropped] = []
        for each in public:
            world.network.listen("wan", each, self.from_client)
        world.network.listen("link", link, self._from_link)
        if ingress is not None:
            world.network.listen("link", ingress, self._from_global)
        world.network.add(self)
        world.relays.append(self)
        self._world = world

    def handle(self, event: relay_core.Event) -> None:
        self._carry_out(self.core.handle(event, self._network.now))

    def next_timeout(self) -> float:
        core = self.core.next_timeout()
        return self._next_sweep if core is None else min(core, self._next_sweep)

    def handle_timeout(self, now: float) -> None:
        self._carry_out(self.core.handle_timeout(now))
        if now >= self._next_sweep:
            self._next_sweep = now + self.SWEEP
            for expired in self.datapath.sweep(now):
                self.handle(expired)

    def from_client(self, transit: Transit) -> None:
        key = FlowKey(Transport.UDP, transit.source, transit.destination)
        upcall = self.datapath.from_client(key, transit.datagram, self._network.now)
        if upcall is not None:
            self.handle(upcall)

    def _to_client(self, key: FlowKey, data: bytes) -> None:
        world = self._world
        leg = world.wan if key.label is None else world.link
        self._network.send(leg, key.local, key.client, data)

    def _from_global(self, transit: Transit) -> None:
        source, local = transit.source, transit.destination
        now = self._network.now
        for record in self.datapath.from_global(source, local, transit.datagram, now):
            self.handle(record)

    def _from_link(self, transit: Transit) -> None:
        for record in self.datapath.from_link(transit.source, transit.datagram, self._network.now):
            self.handle(record)

    def _carry_out(self, outputs: list[relay_core.Output]) -> None:
        world, now = self._world, self._network.now
        for output in outputs:
            match output:
                case relay_core.SendRecord():
                    record = encode_record(output.type, output.flags, output.label, output.payload)
                    self._network.send(world.link, self.link, output.to, record)
                case relay_core.SendDatagram(key, datagram):
                    self._network.send(world.wan, key.local, key.client, datagram)
                case relay_core.SendBack(key, type_, flags, payload):
                    assert key.label is not None
                    self._to_client(key, encode_record(type_, flags, key.label, payload))
                case relay_core.RaiseFlow():
                    self.datapath.raise_flow(output)
                case relay_core.RaiseFlows():
                    self.datapath.raise_flows(output)
                case relay_core.InstallFlow():
                    for expired in self.datapath.install(output, now):
                        self.handle(expired)
                case relay_core.RemoveFlow():
                    for expired in self.datapath.remove(output, now):
                        self.handle(expired)
                case relay_core.RemoveRoute():
                    for expired in self.datapath.remove_route(output, now):
                        self.handle(expired)
                case relay_core.Dropped():
                    self.refused.append(output)
                case relay_core.KeepRoute(key, route):
                    world.cache[key] = route
                case relay_core.ForgetRoute(key):
                    world.cache.pop(key, None)
                case relay_core.LookUp(key):
                    self.handle(relay_core.RouteFound(key, world.cache.get(key)))
                case relay_core.FlowAssured():
                    pass
                case _:
                    assert_never(output)


class TransceiverHost:
    """The table of sessions with an echo behind it."""

    def __init__(self, world: World, epoch: Epoch) -> None:
        self._world = world
        self._network = world.network
        self._tickets = 0
        self._answers: dict[int, Created | IcePatched | Refused] = {}
        self.route = Route(ClusterId(0), TransceiverId(0), epoch)
        self.address = Endpoint("127.0.0.1", 8000 + epoch)
        self.states: dict[SessionId, SessionState] = {}
        self.paths: dict[SessionId, list[Path]] = {}
        self.closed: dict[SessionId, CloseReason] = {}
        self.harness = Harness(self._send, lambda: world.network.now)
        self.sessions = Sessions(
            Settings(
                route=self.route,
                keys=KEYS,
                fingerprint=world.server_identity.fingerprint,
                advertise=(PUBLIC, PUBLIC_V6),
                backends=frozenset({"echo"}),
                max_sessions=1000,
                connect_timeout=30.0,
                consent_timeout=world.consent_timeout,
                max_duration=world.max_duration,
                idle_timeout=world.idle_timeout,
            ),
            lambda parameters, now: Session(
                parameters, world.server_identity, world.network.entropy, now
            ),
            world.network.entropy,
            self.harness.plane.stats,
        )
        self.harness.handle = Exchange(self.sessions, {"echo": Echo()}).handle
        world.network.listen("link", self.address, self._from_link)
        world.network.add(self)
        world.transceivers.append(self)

    def create(self, offer: str) -> tuple[SessionId, str]:
        """Answer an offer that cannot be refused."""
        self._tickets += 1
        self.handle(Create(self._tickets, offer, "echo"))
        created = self._answers.pop(self._tickets)
        assert isinstance(created, Created), created
        return created.session, created.answer

    def patch(self, session: SessionId, fragment: str) -> str:
        """Answer a fragment that cannot be refused."""
        self._tickets += 1
        self.handle(PatchIce(self._tickets, session, fragment))
        patched = self._answers.pop(self._tickets)
        assert isinstance(patched, IcePatched), patched
        return patched.fragment

    def hang_up(self, session: SessionId) -> None:
        """As signaling does."""
        self.handle(ForSession(session, CloseSession(CloseReason.HANGUP)))

    def handle(self, event: SessionsEvent) -> None:
        self._note(self.harness.do(event))

    def next_timeout(self) -> float | None:
        return self.sessions.next_timeout()

    def handle_timeout(self, now: float) -> None:
        self._note(self.harness.carry_out(self.sessions.handle_timeout(now)))

    def _from_link(self, transit: Transit) -> None:
        for record in parse_records(transit.datagram):
            self.handle(
                RecordReceived(
                    transit.source, record.type, record.flags, record.label, record.payload
                )
            )

    def _send(self, record: SendRecord) -> None:
        datagram = encode_record(record.type, record.flags, record.label, record.payload)
        self._network.send(self._world.link, self.address, record.relay, datagram)

    def _note(self, outputs: list[SessionsOutput]) -> None:
        for output in outputs:
            match output:
                case Created(ticket) | IcePatched(ticket) | Refused(ticket):
                    self._answers[ticket] = output
                case FromSession(session, news):
                    self._tell(session, news)
                case Crashed(_, error):
                    raise error
                case _:
                    pass

    def _tell(self, session: SessionId, news: object) -> None:
        match news:
            case StateChanged(state):
                self.states[session] = state
            case PathSelected(path):
                self.paths.setdefault(session, []).append(path)
            case SessionClosed(reason):
                self.closed[session] = reason
            case _:
                pass
