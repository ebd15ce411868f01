"""A datapath of ICE-TCP between clients and a transceiver that a test drives by hand."""

from __future__ import annotations

import select
import socket
from contextlib import ExitStack

from appliance.supervisor.binding import bind_tcp
from config.ids import ClusterId, Endpoint, Epoch, FlowKey, Route, TransceiverId, Transport
from workers.relay.core.connections import Ending
from workers.relay.core.interface import Event, InstallFlow
from workers.relay.datapath.tcp import TcpDatapath
from workers.wire.framing import encode_frame, split_frames
from workers.wire.link import MAX_PAYLOAD, RecordType, encode_record, make_label, parse_records

IDLE = 60.0
SRTP, STUN = b"\x80\x6f audio", b"\x00\x01 check"
ROUTE = Route(ClusterId(0), TransceiverId(1), Epoch(1))
LABEL = make_label(1, 7)


class Client:
    """A connection that we drive by hand."""

    def __init__(self, stack: ExitStack, to: Endpoint, source: str = "") -> None:
        family = socket.AF_INET6 if to.is_ipv6 else socket.AF_INET
        self.socket = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        self.socket.settimeout(10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source:
            self.socket.bind((source, 0))
        self.socket.connect(to)
        self.key = FlowKey(Transport.TCP, Endpoint(*self.socket.getsockname()[:2]), to)
        self._rest = b""

    def send(self, *datagrams: bytes) -> None:
        self.socket.sendall(b"".join(map(encode_frame, datagrams)))

    def take(self) -> list[bytes]:
        """All that has come."""
        self.socket.setblocking(False)
        received = b""
        try:
            while more := self.socket.recv(1 << 20):
                received += more
        except BlockingIOError:
            pass
        datagrams, self._rest = split_frames(self._rest + received, MAX_PAYLOAD)
        return datagrams

    def take_or_closed(self) -> bool:
        """The other end has closed it, or sent something; does not wait."""
        self.socket.setblocking(False)
        try:
            self.socket.recv(1)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            pass
        return True

    def is_closed(self) -> bool:
        """The other end has closed it."""
        self.socket.settimeout(10)
        try:
            return not self.socket.recv(1)
        except ConnectionResetError:
            return True


class Bench:
    """A datapath with a listener of each family, and a transceiver's link socket."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        hosts = ("127.0.0.1", "::1")
        listeners = [bind_tcp(Endpoint(host, 0), foreign=False) for host in hosts]
        self.public = [listener.endpoint for listener in listeners]
        self.link, self.far = (
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2)
        )
        for sock in (self.link, self.far):
            sock.setblocking(False)
            sock.bind(("127.0.0.1", 0))
        self.peer = Endpoint(*self.far.getsockname())
        for listener in listeners:
            stack.callback(listener.socket.close)
        self._listeners = [(listener.endpoint, listener.socket) for listener in listeners]
        self.path = self.another()
        self.now = 0.0

    def another(self, max_flows: int = 5000, listeners: int = 2) -> TcpDatapath:
        """One more datapath on the same sockets, or some of them."""
        path = TcpDatapath(
            self._listeners[:listeners], self.link, mtu=65_000, idle=IDLE, max_flows=max_flows
        )
        self.stack.callback(path.close)
        return path

    def client(self, source: str = "", *, ipv6: bool = False) -> Client:
        return Client(self.stack, self.public[ipv6], source)

    def pump(self) -> None:
        """Until nothing is readable any more, as the shell does."""
        sources = dict(self.path.sources)
        for _ in range(10_000):
            ready, _, _ = select.select([*sources], [], [], 0)
            if not ready:
                return
            for descriptor in ready:
                sources[descriptor](self.now)
        raise AssertionError("it never comes to rest")

    def events(self) -> list[Event]:
        self.pump()
        found = []
        while (event := self.path.next_event()) is not None:
            found.append(event)
        self.path.outbox.flush()
        return found

    def settle(self, client: Client, label: int = LABEL) -> None:
        """As the core does when a transceiver has vouched."""
        self.pump()
        self.path.install(InstallFlow(client.key, label, ROUTE, self.peer), self.now)

    def records(self) -> list[bytes]:
        """Payloads that have come to the transceiver."""
        self.pump()
        found: list[bytes] = []
        while True:
            try:
                datagram = self.far.recv(1 << 16)
            except BlockingIOError:
                return found
            found += [bytes(record.payload) for record in parse_records(datagram)]

    def say(self, label: int, *payloads: bytes) -> None:
        for payload in payloads:
            record = encode_record(RecordType.DATA, 0, label, payload)
            self.far.sendto(record, self.link.getsockname())
        self.pump()

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.pump()
        self.path.sweep(self.now)

    @property
    def ended(self) -> dict[Ending, int]:
        return dict(self.path.ended)

    def check_laws(self) -> None:
        assert self.path.counters.conserved()
        assert (
            self.path.accepted + self.path.taken == self.path.connections + self.path.ended.total()
        )
