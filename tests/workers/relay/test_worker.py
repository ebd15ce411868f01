"""A real relay worker between a client and a transceiver that we play by hand."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
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
    Drain,
    Heartbeat,
    Hello,
    Ready,
    Welcome,
)
from ipc.messages.routes import LiveRoute, Routes, RoutesApplied
from ipc.messages.stats import RelayStats
from tests.support.short_path import short_directory
from workers.wire.link import (
    FLAG_ASSURED,
    Record,
    RecordType,
    encode_record,
    parse_intro,
    parse_records,
)
from workers.wire.ufrag import UfragKeys

directory = short_directory
ROOT = Path(__file__).parents[3]
KEY = bytes(range(16))
KEYS = UfragKeys({"0": KEY}, "0")
ROUTE = Route(ClusterId(0), TransceiverId(1), Epoch(1))
SRTP = b"\x80\x6f audio"
ANSWER = b"\x01\x01\x00\x00\x21\x12\xa4\x42transaction!"
PATIENCE = 20


def check(session: int) -> bytes:
    username = f"{KEYS.mint(ROUTE, session.to_bytes(6, 'big'))}:theirs".encode()
    body = struct.pack(">HH", 6, len(username)) + username + bytes(-len(username) % 4)
    return struct.pack(">HHI12s", 1, len(body), 0x2112A442, b"transaction!") + body


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

    def __init__(self, public: list[Endpoint], far: trio.socket.SocketType) -> None:
        self.public = public
        self.far = far
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
        while records[0].type is not RecordType.DATA:  # what others sent came in between
            records = await self.records()
        assert [(r.label, bytes(r.payload)) for r in records] == [(label, SRTP)]
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
    with (
        ControlServer(f"ipc://{directory}/control") as control,
        Subscriber(f"ipc://{directory}/bus") as bus,
    ):
        stage = Stage(list(listen), far)
        assignment = Assignment(
            version=PROTOCOL_VERSION,
            name=WorkerName("relay-0"),
            role=Role.RELAY,
            index=0,
            generation=1,
            config=Config(relay=RelaySection(listen=listen, datapath=datapath)).model_dump_json(),
            control=control.endpoint,
            bus=bus.endpoint,
            runtime_directory=str(directory),
            descriptors=(
                *(Descriptor(DescriptorKind.PUBLIC, where) for where in listen),
                Descriptor(DescriptorKind.LINK, endpoint(link)),
            ),
            ufrag_keys={"0": KEY},
            mint_with="0",
        )
        ours, theirs = assignment_pair()
        with ours, theirs, (directory / "log").open("wb") as log:
            stage.process = subprocess.Popen(
                [sys.executable, "-m", "workers.relay", "--assignment-fd", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                cwd=ROOT,
                stderr=log,
            )
            send_assignment(ours, assignment, [sock.fileno() for sock in (*publics, link)])

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
                        routes = (LiveRoute(ROUTE, endpoint(far)),)
                        control.send(peer, Routes(serial=1, routes=routes))
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
            for sock in (*publics, link, far):
                sock.close()


@pytest.mark.process
@pytest.mark.parametrize("datapath", [DatapathChoice.NATIVE, DatapathChoice.PYTHON])
async def test_from_the_first_check_to_the_drained_end(
    directory: Path, datapath: DatapathChoice
) -> None:
    async with staged(directory, datapath) as stage:
        assert stage.link is not None
        assert any(isinstance(m, Ready) and m.datapath.startswith(datapath) for m in stage.heard)
        client, client6 = await udp(), await udp("::1")
        label = await stage.assure(client, 1)
        label6 = await stage.assure(client6, 2, at=1)
        assert label != label6
        await stage.exchange(client, label)
        await stage.exchange(client6, label6, at=1)

        # Strangers and impostors change nothing.
        stranger = await udp()
        for n in range(3000):
            noise = (SRTP, b"\xff", check(1)[:-1], check(n), b"\x16\xfe\xfd")[n % 5]
            await stranger.sendto(noise, stage.public[0])
            if n % 500 == 0:
                await stage.exchange(client, label)
        impostor = await udp()
        await impostor.sendto(encode_record(RecordType.FORGET, 0, label, b""), stage.link)
        await impostor.sendto(encode_record(RecordType.DATA, 0, label, b"evil"), stage.link)
        await stage.exchange(client, label)

        def counted() -> bool:
            return stage.stats is not None and stage.stats.refused.get("unknown_peer") == 2

        await stage.until(counted)
        stats = stage.stats
        assert stats is not None
        assert (stats.flows, stats.assured_total) == (2, 2)
        assert {"unknown_kind", "malformed_stun"} <= stats.refused.keys()

        # It drains while flows live, and ends when their sessions and routes do.
        stage.tell(Drain(within=60))
        await stage.exchange(client6, label6, at=1)
        await stage.say(encode_record(RecordType.FORGET, 0, label, b""))
        stage.tell(Routes(serial=2, routes=()))
        await stage.until(lambda: RoutesApplied(2) in stage.heard)
        with trio.fail_after(PATIENCE):
            while stage.process.poll() is None:
                await trio.sleep(0.02)
        assert stage.process.returncode == 0
        for sock in (client, client6, stranger, impostor):
            sock.close()
