"""Sockets and tick, on real loopback sockets."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from config.ids import Endpoint, Transport
from ipc.messages.sessions import CloseReason
from workers.caller.call import Call, Stage
from workers.caller.lines import Line, Lines
from workers.caller.source import SilentOpus
from workers.caller.voice import Speaker
from workers.transceiver.core.interface import (
    DatagramReceived,
    Path,
    PathSelected,
    SendDatagram,
    SessionClosed,
    StandaloneEvent,
    StandaloneOutput,
)
from workers.transceiver.core.offer import OPUS
from workers.transceiver.core.reports import Reported
from workers.transceiver.core.streams.interface import StreamStats


class Parrot:
    """Sends back what comes, and once a word by itself; `media` selects its path, `bye` closes it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._due: float | None = 0.0
        self.stats = StreamStats()
        self.round_trip: float | None = None
        self.reported: Reported | None = None

    def handle(self, event: StandaloneEvent, now: float) -> list[StandaloneOutput]:
        if isinstance(event, DatagramReceived):
            if event.datagram == b"bye":
                return [SessionClosed(CloseReason.PEER_CLOSED)]
            if event.datagram == b"media":
                return [PathSelected(event.path)]
            return [SendDatagram(event.path, bytes(event.datagram))]
        return []

    def next_timeout(self) -> float | None:
        return self._due

    def handle_timeout(self, now: float) -> list[StandaloneOutput]:
        self._due = None
        return [SendDatagram(self._path, b"hello")]


def line_to(*candidates: Endpoint, transport: Transport = Transport.UDP) -> Line:
    line = Line(candidates, transport)
    session = Parrot(line.paths[candidates[0]])
    speaker = Speaker(SilentOpus(0), OPUS, frames=1, first_timestamp=0)
    line.call = Call(session, speaker, now=trio.current_time())
    return line


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_line_ticks_reads_answers_and_ends(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with trio.socket.socket(family, socket.SOCK_DGRAM) as server:
        try:
            await server.bind((host, 0))
        except OSError:
            pytest.skip("no IPv6 here")
        lines = Lines()
        line = line_to(Endpoint(host, server.getsockname()[1]))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lines.read)
            nursery.start_soon(lines.pace)
            lines.plug(line)
            assert list(lines.lines) == [line]
            with trio.fail_after(10):
                first, client = await server.recvfrom(100)
                assert first == b"hello"
                for word in (b"one", b"two", b"three"):
                    await server.sendto(word, client)
                assert [await server.recv(100) for _ in range(3)] == [b"one", b"two", b"three"]
                await server.sendto(b"bye", client)
                await line.over.wait()
            assert line.call is not None
            assert line.call.stage is Stage.OVER
            lines.unplug(line)
            assert not list(lines.lines)
            nursery.cancel_scope.cancel()
        lines.close()


async def test_a_line_that_moves_speaks_and_hears_on_another_port() -> None:
    with trio.socket.socket(type=socket.SOCK_DGRAM) as server:
        await server.bind(("127.0.0.1", 0))
        lines = Lines()
        line = line_to(Endpoint("127.0.0.1", server.getsockname()[1]))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lines.read)
            nursery.start_soon(lines.pace)
            lines.plug(line)
            with trio.fail_after(10):
                _, before = await server.recvfrom(100)
                lines.move(line)
                word, after = await server.recvfrom(100)
                assert word == b"hello"
                assert after != before
                await server.sendto(b"heard", after)
                assert await server.recv(100) == b"heard"
                await server.sendto(b"bye", after)
                await line.over.wait()
            lines.unplug(line)
            nursery.cancel_scope.cancel()
        lines.close()


@asynccontextmanager
async def over_tcp(
    *others: trio.SocketListener,
) -> AsyncIterator[tuple[trio.SocketListener, Lines, Line]]:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    candidates = [Endpoint(*each.socket.getsockname()[:2]) for each in (listener, *others)]
    lines, line = Lines(), line_to(*candidates, transport=Transport.TCP)
    async with listener, trio.open_nursery() as nursery:
        nursery.start_soon(lines.read)
        nursery.start_soon(lines.pace)
        lines.plug(line)
        with trio.fail_after(10):
            yield listener, lines, line
        lines.unplug(line)
        nursery.cancel_scope.cancel()
    lines.close()


async def read_frame(stream: trio.SocketStream) -> bytes:
    head = await stream.receive_some(2)
    return bytes(await stream.receive_some(int.from_bytes(head, "big")))


async def test_over_tcp_every_datagram_is_a_frame() -> None:
    async with over_tcp() as (listener, _, line):
        server = await listener.accept()
        assert await read_frame(server) == b"hello"
        for piece in (b"\x00", b"\x03one\x00\x03t", b"wo"):
            await server.send_all(piece)
        assert await read_frame(server) == b"one"
        assert await read_frame(server) == b"two"
        (path,) = line.paths.values()
        client = server.socket.getpeername()
        assert (path.transport, path.local) == (Transport.TCP, Endpoint(*client))
        await server.send_all(b"\x00\x03bye")
        await line.over.wait()
        await server.aclose()


async def test_a_broken_connection_is_made_again_until_the_call_is_over() -> None:
    async with over_tcp() as (listener, _, line):
        first = await listener.accept()
        assert await read_frame(first) == b"hello"
        await first.aclose()
        second = await listener.accept()
        assert await read_frame(second) == b"hello"
        await second.send_all(b"\xff\xff no frame of ours")
        third = await listener.accept()
        assert await read_frame(third) == b"hello"
        assert line.reconnects == 2
        await second.aclose()
        await third.send_all(b"\x00\x03bye")
        await line.over.wait()
        await third.aclose()
        assert list(line.renew(trio.current_time() + 1)) == []


async def test_a_connection_that_media_do_not_use_is_made_again_only_with_theirs() -> None:
    """A relay ends what nobody has used for a while."""
    (other,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with other, over_tcp(other) as (listener, _, line):
        used, unused = await listener.accept(), await other.accept()
        await used.send_all(b"\x00\x05media")
        await used.send_all(b"\x00\x04ping")
        assert [await read_frame(used) for _ in range(2)] == [b"hello", b"ping"]
        await unused.aclose()
        with trio.fail_after(10):
            while not any(wire.broken for wire in line.wires):
                await trio.sleep(0.01)
        assert list(line.renew(trio.current_time() + 60)) == []
        await used.aclose()
        await (await listener.accept()).aclose()
        await (await other.accept()).aclose()
        assert line.reconnects >= 2


async def test_strangers_are_not_heard() -> None:
    with trio.socket.socket(type=socket.SOCK_DGRAM) as stranger:
        line = line_to(Endpoint("127.0.0.1", 9))
        (wire,) = line.wires
        await stranger.sendto(b"bye", ("127.0.0.1", wire.local.port))
        line.read(wire)
        assert not line.over.is_set()
        line.hang_up(0.0)


async def test_one_socket_for_each_family_and_one_path_for_each_candidate() -> None:
    first, second = Endpoint("127.0.0.1", 1), Endpoint("127.0.0.2", 2)
    line = Line([first, second])
    assert len(list(line.wires)) == 1
    assert [path.remote for path in line.paths.values()] == [first, second]
    assert {path.transport for path in line.paths.values()} == {Transport.UDP}
    line.hang_up(0.0)


async def test_an_answer_without_candidates_has_no_line() -> None:
    with pytest.raises(OSError, match="no candidate"):
        Line([])


async def test_what_the_machine_will_not_send_is_counted_by_its_words() -> None:
    line = line_to(Endpoint("255.255.255.255", 9))
    line.tick(trio.current_time())
    assert line.refused == {"Permission denied": 1}
    line.hang_up(0.0)


async def test_ticks_are_spread() -> None:
    lines = Lines()
    plugged = [line_to(Endpoint("127.0.0.1", 9)) for _ in range(20)]
    for line in plugged:
        lines.plug(line)
    assert {len(slot) for slot in lines._slots} == {2}
    for line in plugged:
        lines.unplug(line)
    lines.close()
