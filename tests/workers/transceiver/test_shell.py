"""The whole worker in this process: its real sockets, rpc, bus and clock; one real client."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path as Directory

import pytest
import trio

from config.ids import Endpoint, FlowKey, Role, SessionId, Transport, WorkerName
from config.model import Config, MediaChoice, TransceiverSection
from ipc.bus import Publisher, Subscriber
from ipc.control import ControlClient
from ipc.messages.lifecycle import PROTOCOL_VERSION, Assignment, Descriptor, DescriptorKind
from ipc.messages.sessions import (
    CloseReason,
    CreateSession,
    EndSession,
    ListSessions,
    Problem,
    SessionCreated,
    SessionEnded,
    SessionList,
    SessionRefused,
    SessionUnknown,
)
from ipc.messages.stats import SessionEvents, TransceiverStats
from ipc.rpc import RpcClient, RpcFailed
from tests.support.quiet_log import LogLines
from tests.support.sessions import identity
from tests.support.short_path import short_directory
from tests.support.transceiver import ROUTE
from workers.transceiver.core.interface import (
    AudioReceived,
    DatagramReceived,
    IceCredentials,
    IceRole,
    Path,
    SendAudio,
    SendDatagram,
    SessionClosed,
    SessionParameters,
    StandaloneOutput,
)
from workers.transceiver.core.offer import OPUS, build_offer, parse_answer
from workers.transceiver.core.session import Session
from workers.transceiver.core.standalone import Standalone
from workers.transceiver.core.states import SessionState
from workers.transceiver.shell import serve
from workers.wire.link import RecordType, encode_intro, encode_record, parse_records
from workers.worker import Worker

directory = short_directory
PUBLIC = Endpoint("192.0.2.1", 3478)
HOME = Endpoint("198.51.100.1", 4000)
KEY = FlowKey(Transport.UDP, HOME, PUBLIC)
LABEL = 0x100
LOCAL = IceCredentials("cLnt", "clientPasswordOfTheClient")


class Client:
    """A client and its relay in one: a controlling session whose datagrams are link records."""

    def __init__(self, link: Endpoint, relay: socket.socket) -> None:
        self.offer = build_offer(LOCAL, identity("caller").fingerprint, origin=1)
        self.outputs: list[StandaloneOutput] = []
        self.records: list[RecordType] = []
        self._socket = trio.socket.from_stdlib_socket(relay.dup())
        self._link = link

    async def run(self, answer_text: str) -> None:
        """Be that client until cancelled."""
        answer = parse_answer(answer_text)
        assert answer.candidates == (PUBLIC,)
        session = Session(
            SessionParameters(
                ice_role=IceRole.CONTROLLING,
                dtls_role=answer.dtls_role,
                local=LOCAL,
                remote=answer.remote,
                remote_fingerprints=answer.fingerprints,
                audio=answer.audio,
                remote_endpoints=(Path(Transport.UDP, PUBLIC, HOME),),
            ),
            identity("caller"),
            os.urandom,
            trio.current_time(),
        )
        self.session = Standalone(session)
        await self._socket.connect(self._link)
        while True:
            deadline = self.session.next_timeout() or trio.current_time() + 60
            with trio.move_on_at(deadline):
                for record in parse_records(await self._socket.recv(65536)):
                    self.records.append(record.type)
                    if record.type is RecordType.DATA:
                        assert record.label == LABEL
                        path = Path(Transport.UDP, PUBLIC, HOME)
                        await self.do(DatagramReceived(path, bytes(record.payload)))
            timeout = self.session.next_timeout()
            if timeout is not None and timeout <= trio.current_time():
                await self._carry_out(self.session.handle_timeout(trio.current_time()))

    async def do(self, event: DatagramReceived | SendAudio) -> None:
        await self._carry_out(self.session.handle(event, trio.current_time()))

    async def _carry_out(self, outputs: list[StandaloneOutput]) -> None:
        self.outputs += outputs
        for output in outputs:
            if isinstance(output, SendDatagram):
                datagram = output.datagram
                if datagram[0] < 4:
                    payload = encode_intro(KEY, datagram)
                    await self._socket.send(encode_record(RecordType.INTRO, 0, LABEL, payload))
                else:
                    await self._socket.send(encode_record(RecordType.DATA, 0, LABEL, datagram))

    async def until(self, kind: type[StandaloneOutput] | SessionState) -> None:
        """Wait for such an output, or that state."""
        with trio.fail_after(20):
            while not (
                getattr(self, "session", None) is not None and self.session.state is kind
                if isinstance(kind, SessionState)
                else any(isinstance(output, kind) for output in self.outputs)
            ):
                await trio.sleep(0.005)

    def close(self) -> None:
        self._socket.close()


class House:
    """A served worker and what a test talks to it with."""

    def __init__(
        self,
        worker: Worker,
        link: Endpoint,
        relay: socket.socket,
        lines: LogLines,
        bus: Subscriber,
    ) -> None:
        self.worker = worker
        self.link = link
        self.relay = relay
        """The one that it hears."""
        self.lines = lines
        self.bus = bus
        self.rpc = RpcClient(f"ipc://{worker.assignment.runtime_directory}/transceiver-0-4.rpc")
        self.done = trio.Event()

    async def news(self) -> list[tuple[str, str]]:
        """What and why, of the session events that a beat of the worker publishes."""
        assert self.worker._news is not None
        self.worker._news()
        with trio.fail_after(20):
            message = await self.bus.__anext__()
        assert isinstance(message, SessionEvents)
        assert message.worker == self.worker.assignment.name
        return [(event.what, event.detail) for event in message.events]


@asynccontextmanager
async def house(
    directory: Directory, max_sessions: int = 10, media: MediaChoice = MediaChoice.AUTO
) -> AsyncIterator[House]:
    config = Config(transceiver=TransceiverSection(max_sessions=max_sessions, media=media))
    lines = LogLines()
    bus = Subscriber(f"ipc://{directory}/bus")
    control = ControlClient(f"ipc://{directory}/control", b"transceiver-0:4:1")
    publisher = Publisher(f"ipc://{directory}/bus")
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as relay,
    ):
        for each in (sock, relay):
            each.bind(("127.0.0.1", 0))
            each.setblocking(False)
        link = Endpoint(*sock.getsockname())
        assignment = Assignment(
            version=PROTOCOL_VERSION,
            name=WorkerName("transceiver-0"),
            role=Role.TRANSCEIVER,
            index=0,
            generation=4,
            config=config.model_dump_json(),
            control=control_endpoint(directory),
            bus=bus.endpoint,
            runtime_directory=str(directory),
            descriptors=(Descriptor(DescriptorKind.LINK, link),),
            ufrag_keys={"a": bytes(range(16))},
            mint_with="a",
            advertise=(PUBLIC,),
            route=ROUTE,
            peers=(Endpoint(*relay.getsockname()),),
        )
        worker = Worker(assignment, config, lines.log, [sock.detach()], control, publisher)
        its = House(worker, link, relay, lines, bus)

        async def live() -> None:
            await serve(worker)
            its.done.set()

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(live)
                yield its
                nursery.cancel_scope.cancel()
        finally:
            for closing in (its.rpc, bus, control, publisher, lines):
                closing.close()
            for _, given in worker.sockets(DescriptorKind.LINK):
                given.close()


def control_endpoint(directory: Directory) -> str:
    return f"ipc://{directory}/control"


async def create(its: House, client: Client) -> SessionCreated:
    reply = await its.rpc.call(CreateSession(client.offer), within=10)
    assert isinstance(reply, SessionCreated)
    return reply


@pytest.mark.parametrize("media", [MediaChoice.NATIVE, MediaChoice.PYTHON])
async def test_a_call_from_offer_to_hang_up(directory: Directory, media: MediaChoice) -> None:
    async with house(directory, media=media) as its, trio.open_nursery() as nursery:
        client = Client(its.link, its.relay)
        created = await create(its, client)
        nursery.start_soon(client.run, created.answer)
        await client.until(SessionState.CONNECTED)
        assert [what for what, _ in await its.news()] == ["created", "path", "connected"]
        await client.do(SendAudio(b"hello", 960, OPUS.payload_type))
        await client.until(AudioReceived)
        listed = await its.rpc.call(ListSessions(), within=10)
        assert isinstance(listed, SessionList)
        (row,) = listed.rows
        assert (row.session, row.state, row.codec) == (created.session, "connected", "opus")
        assert (row.packets_in, row.packets_out, listed.total) == (1, 1, 1)
        assert its.worker._load() == 1
        ended = await its.rpc.call(EndSession(created.session), within=10)
        assert ended == SessionEnded(created.session)
        await client.until(SessionClosed)
        assert await its.news() == [("closed", "hangup")]
        again = await its.rpc.call(EndSession(created.session), within=10)
        assert again == SessionUnknown(created.session, CloseReason.HANGUP)
        with trio.fail_after(20):
            while client.records[-1] is not RecordType.FORGET:
                await trio.sleep(0.005)
        assert its.worker._stats is not None
        stats = its.worker._stats()
        assert stats.usage.cpu_seconds > 0
        assert isinstance(stats, TransceiverStats)
        assert (stats.audio_in, stats.audio_out) == (1, 1)
        *_, begin, end = its.lines.lines()
        assert (begin["event"], begin["session"]) == ("session connected", created.session)
        assert begin["path"] == f"{HOME}>{PUBLIC}/udp"
        assert (end["event"], end["reason"]) == ("session ended", "hangup")
        assert (end["session"], end["packets_in"], end["packets_out"]) == (created.session, 1, 1)
        nursery.cancel_scope.cancel()
        client.close()


async def test_refusals_and_strange_requests(directory: Directory) -> None:
    async with house(directory, max_sessions=1) as its:
        refused = await its.rpc.call(CreateSession("v=1"), within=10)
        assert refused == SessionRefused(Problem.MALFORMED_SDP, "line 1: does not begin with v=0")
        client = Client(its.link, its.relay)
        await create(its, client)
        full = await its.rpc.call(CreateSession(client.offer), within=10)
        assert isinstance(full, SessionRefused)
        assert full.problem is Problem.FULL
        with pytest.raises(RpcFailed, match="does not answer SessionUnknown"):
            await its.rpc.call(SessionUnknown(SessionId("rtc_7_x")), within=10)
        client.close()


async def test_draining_waits_for_the_last_session(directory: Directory) -> None:
    async with house(directory) as its, trio.open_nursery() as nursery:
        client = Client(its.link, its.relay)
        created = await create(its, client)
        nursery.start_soon(client.run, created.answer)
        await client.until(SessionState.CONNECTED)
        its.worker.drain(60, "test")
        await trio.testing.wait_all_tasks_blocked(0.01)
        refused = await its.rpc.call(CreateSession(client.offer), within=10)
        assert isinstance(refused, SessionRefused)
        assert refused.problem is Problem.DRAINING
        assert not its.done.is_set()
        await its.rpc.call(EndSession(created.session), within=10)
        with trio.fail_after(20):
            await its.done.wait()
        nursery.cancel_scope.cancel()
        client.close()


async def test_at_the_drain_deadline_the_rest_is_told(directory: Directory) -> None:
    async with house(directory) as its, trio.open_nursery() as nursery:
        client = Client(its.link, its.relay)
        created = await create(its, client)
        nursery.start_soon(client.run, created.answer)
        await client.until(SessionState.CONNECTED)
        its.worker.drain(0, "test")
        with trio.fail_after(20):
            await its.done.wait()
        await client.until(SessionClosed)
        assert client.outputs[-1] == SessionClosed(CloseReason.PEER_CLOSED)
        nursery.cancel_scope.cancel()
        client.close()


async def test_a_flood_of_junk_leaves_it_serving(directory: Directory) -> None:
    async with house(directory) as its:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for sender in (its.relay, stranger):
                for label in range(250):
                    sender.sendto(os.urandom(40), its.link)
                    sender.sendto(encode_record(RecordType.DATA, 0, label, b"\x80"), its.link)
        client = Client(its.link, its.relay)
        await create(its, client)
        assert its.lines.events() == ["ready"], "no line per packet"
        client.close()
