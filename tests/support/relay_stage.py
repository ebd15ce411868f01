"""A real relay worker between clients and a transceiver that a test plays by hand."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from config.ids import ClusterId, Endpoint, Epoch, FlowKey, Role, Route, TransceiverId, WorkerName
from config.model import Config, DatapathChoice, RelaySection
from ipc.bus import Subscriber
from ipc.control import ControlServer
from ipc.handover import assignment_pair, send_assignment
from ipc.messages import Message
from ipc.messages.lifecycle import (
    PROTOCOL_VERSION,
    Assignment,
    Descriptor,
    DescriptorKind,
    Heartbeat,
    Hello,
    Ready,
    Welcome,
)
from ipc.messages.routes import LiveRoute, Routes, RoutesApplied
from ipc.messages.stats import RelayStats
from tests.support import stun
from workers.wire.link import (
    FLAG_ASSURED,
    Record,
    RecordType,
    encode_record,
    parse_intro,
    parse_records,
)
from workers.wire.ufrag import UfragKeys

ROOT = Path(__file__).parents[2]
KEY = bytes(range(16))
KEYS = UfragKeys({"0": KEY}, "0")
ROUTE = Route(ClusterId(0), TransceiverId(1), Epoch(1))
SRTP = b"\x80\x6f audio"
ANSWER = b"\x01\x01\x00\x00\x21\x12\xa4\x42transaction!"
PATIENCE = 60


def check(session: int) -> bytes:
    return stun.check(KEYS.mint(ROUTE, session.to_bytes(6, "big")))


async def udp(host: str = "127.0.0.1") -> trio.socket.SocketType:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = trio.socket.socket(family, socket.SOCK_DGRAM)
    await sock.bind((host, 0))
    return sock


def endpoint(sock: trio.socket.SocketType) -> Endpoint:
    host, port, *_ = sock.getsockname()
    return Endpoint(host, port)


class Stage:
    """The worker, its supervisor, its transceiver."""

    def __init__(self, public: list[Endpoint], far: trio.socket.SocketType, table: int) -> None:
        self.public = public
        self.far = far
        self.table = table
        """Shared memory that outlives the worker."""
        self.siblings: list[int] = []
        self.routes: tuple[LiveRoute, ...] = ()
        self.spawn: Callable[[int], subprocess.Popen[bytes]]
        """Start a worker of that generation on the same sockets and table."""
        self.link: Endpoint | None = None
        self.heard: list[Message] = []
        self.stats: RelayStats | None = None
        self.news = trio.Event()
        self.tell: Callable[[Message], bool]
        self.process: subprocess.Popen[bytes]

    async def until(self, condition: Callable[[], bool]) -> None:
        with trio.fail_after(PATIENCE):
            while not condition():
                await self.news.wait()

    def hear(self, message: Message) -> None:
        self.heard.append(message)
        self.news.set()
        self.news = trio.Event()

    def swap_table(self) -> None:
        """The next worker gets an empty table, and the present one as a sibling's."""
        self.siblings.append(self.table)
        self.table = os.memfd_create("flows")

    async def succeed(self, generation: int = 2) -> None:
        """Let a successor of a worker that has ended serve."""
        self.process.wait()
        self.heard.clear()
        self.process = self.spawn(generation)
        await self.until(lambda: RoutesApplied(1) in self.heard)

    async def records(self) -> list[Record]:
        """The next link datagram."""
        with trio.fail_after(PATIENCE):
            datagram, source = await self.far.recvfrom(65536)
        assert Endpoint(*source) == self.link
        return list(parse_records(datagram))

    async def say(self, record: bytes) -> None:
        assert self.link is not None
        await self.far.sendto(record, self.link)

    async def assure(self, client: trio.socket.SocketType, session: int, at: int = 0) -> int:
        """A first check, its INTRO, the transceiver's word, and the answer at the client."""
        await client.sendto(check(session), self.public[at])
        (record,) = await self.records()
        assert record.type is RecordType.INTRO
        key, datagram = parse_intro(record.payload)
        assert key == FlowKey(key.transport, endpoint(client), self.public[at])
        assert datagram == check(session)
        await self.say(encode_record(RecordType.DATA, FLAG_ASSURED, record.label, ANSWER))
        assert await came(client, self.public[at]) == ANSWER
        return record.label

    async def exchange(self, client: trio.socket.SocketType, label: int, at: int = 0) -> None:
        """Media go both ways."""
        await client.sendto(SRTP, self.public[at])
        records = await self.records()
        while bytes(records[-1].payload) != SRTP:  # what others sent came in between
            records = await self.records()
        assert (records[-1].type, records[-1].label) == (RecordType.DATA, label)
        await self.say(encode_record(RecordType.DATA, 0, label, SRTP + b"back"))
        assert await came(client, self.public[at]) == SRTP + b"back"


async def came(client: trio.socket.SocketType, source: Endpoint) -> bytes:
    with trio.fail_after(PATIENCE):
        datagram, address = await client.recvfrom(2048)
    assert Endpoint(address[0], address[1]) == source
    return datagram


@asynccontextmanager
async def staged(directory: Path, datapath: DatapathChoice) -> AsyncIterator[Stage]:
    publics = [await udp(), await udp("::1")]
    link, far = await udp(), await udp()
    listen = tuple(endpoint(sock) for sock in publics)
    nowhere = Endpoint("", 0)
    with (
        ControlServer(f"ipc://{directory}/control") as control,
        Subscriber(f"ipc://{directory}/bus") as bus,
    ):
        stage = Stage(list(listen), far, os.memfd_create("flows"))

        def spawn(generation: int) -> subprocess.Popen[bytes]:
            assignment = Assignment(
                version=PROTOCOL_VERSION,
                name=WorkerName("relay-0"),
                role=Role.RELAY,
                index=0,
                generation=generation,
                config=Config(
                    relay=RelaySection(listen=listen, datapath=datapath)
                ).model_dump_json(),
                control=control.endpoint,
                bus=bus.endpoint,
                runtime_directory=str(directory),
                descriptors=(
                    *(Descriptor(DescriptorKind.PUBLIC, where) for where in listen),
                    Descriptor(DescriptorKind.LINK, endpoint(link)),
                    Descriptor(DescriptorKind.TABLE, nowhere),
                    *(Descriptor(DescriptorKind.SIBLING, nowhere) for _ in stage.siblings),
                ),
                ufrag_keys={"0": KEY},
                mint_with="0",
            )
            ours, theirs = assignment_pair()
            with ours, theirs, (directory / f"log{generation}").open("wb") as log:
                process = subprocess.Popen(
                    [
                        sys.executable,
                        "-m",
                        "workers.relay",
                        "--assignment-fd",
                        str(theirs.fileno()),
                    ],
                    pass_fds=[theirs.fileno()],
                    cwd=ROOT,
                    stderr=log,
                )
                fds = [sock.fileno() for sock in (*publics, link)]
                send_assignment(ours, assignment, [*fds, stage.table, *stage.siblings])
            return process

        stage.spawn = spawn
        stage.routes = (LiveRoute(ROUTE, endpoint(far)),)
        stage.process = spawn(1)

        async def supervise() -> None:
            while True:
                peer, message = await control.receive()
                stage.tell = partial(control.send, peer)
                match message:
                    case Hello():
                        control.send(peer, Welcome(os.getpid()))
                    case Heartbeat():
                        control.send(peer, message)
                    case Ready(link=where):
                        stage.link = where
                        control.send(peer, Routes(serial=1, routes=stage.routes))
                    case _:
                        pass
                stage.hear(message)

        async def follow() -> None:
            async for message in bus:
                if isinstance(message, RelayStats):
                    stage.stats = message
                    assert message.conserved
                stage.hear(message)

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(supervise)
                nursery.start_soon(follow)
                await stage.until(lambda: RoutesApplied(1) in stage.heard)
                yield stage
                nursery.cancel_scope.cancel()
        finally:
            stage.process.kill()
            stage.process.wait()
            for fd in (stage.table, *stage.siblings):
                os.close(fd)
            for sock in (*publics, link, far):
                sock.close()
