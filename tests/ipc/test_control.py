"""Supervisor and worker find each other, also again, and never queue for the dead."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from config.ids import Role, WorkerName
from ipc.control import ControlClient, ControlServer, identity
from ipc.lost import Lost
from ipc.messages.lifecycle import Drain, Heartbeat, Hello, Stop, Welcome, WorkerPhase
from ipc.zmq_trio import EndpointInUse, Pattern, ZmqSocket
from tests.support.short_path import short_directory

directory = short_directory

ME = identity("relay-0", 3, 4711)
HELLO = Hello(version=1, name=WorkerName("relay-0"), role=Role.RELAY, generation=3, pid=4711)


@pytest.fixture
def endpoint(directory: Path) -> str:
    return f"ipc://{directory}/control.sock"


async def test_a_worker_says_hello_and_is_answered(endpoint: str) -> None:
    with ControlServer(endpoint) as server, trio.fail_after(5):
        client = ControlClient(endpoint, ME)
        await client.send(HELLO)
        assert await server.receive() == (ME, HELLO)
        assert server.send(ME, Welcome(supervisor_pid=1))
        assert await client.receive() == Welcome(supervisor_pid=1)
        assert client.connection == 1
        client.close()


async def test_a_worker_may_be_there_before_its_supervisor_and_meets_the_next_one(
    endpoint: str,
) -> None:
    client = ControlClient(endpoint, ME)
    assert not client.send_nowait(Heartbeat(phase=WorkerPhase.READY))
    assert client.lost == {Lost.CONTROL_UNDELIVERED: 1}
    with trio.fail_after(10):
        for number in range(1, 4):
            with ControlServer(endpoint) as server:
                await client.send(HELLO)
                assert await server.receive() == (ME, HELLO)
                assert client.connection == number
                assert server.send(ME, Welcome(supervisor_pid=number))
                assert await client.receive() == Welcome(supervisor_pid=number)
            while client.send_nowait(Heartbeat(phase=WorkerPhase.READY)):
                await trio.sleep(0.001)
    client.close()


async def test_a_peer_that_is_gone_is_known_at_once(endpoint: str) -> None:
    with ControlServer(endpoint) as server, trio.fail_after(5):
        assert not server.send(ME, Stop())
        client = ControlClient(endpoint, ME)
        await client.send(HELLO)
        await server.receive()
        client.close()
        while server.send(ME, Stop()):
            await trio.sleep(0.001)
        assert server.lost[Lost.CONTROL_UNDELIVERED] == 2


async def test_a_peer_that_does_not_read_is_bounded(endpoint: str) -> None:
    with ControlServer(endpoint) as server, trio.fail_after(10):
        client = ControlClient(endpoint, ME)
        await client.send(HELLO)
        await server.receive()
        sent = 0
        while server.send(ME, Drain(within=1)):
            sent += 1
            if sent % 500 == 0:
                await trio.sleep(0)
        assert server.lost[Lost.CONTROL_UNDELIVERED] == 1
        for _ in range(sent):
            assert await client.receive() == Drain(within=1)
        assert server.send(ME, Stop())
        client.close()


async def test_nobody_takes_over_the_identity_of_a_living_worker(endpoint: str) -> None:
    with ControlServer(endpoint) as server, trio.fail_after(5):
        worker = ControlClient(endpoint, ME)
        await worker.send(HELLO)
        await server.receive()
        thief = ControlClient(endpoint, ME)
        with trio.move_on_after(0.1):
            await thief.send(HELLO)
            await thief.receive()
        assert server.send(ME, Stop())
        assert await worker.receive() == Stop()
        worker.close()
        thief.close()


async def test_garbage_is_counted_on_both_sides(endpoint: str) -> None:
    with ControlServer(endpoint) as server, trio.fail_after(5):
        with ZmqSocket(Pattern.DEALER) as raw:
            raw.connect(endpoint)
            for frames in ([b"garbage"], [b"too", b"many"], [b""]):
                await raw.send(frames)
            client = ControlClient(endpoint, ME)
            await client.send(HELLO)
            assert await server.receive() == (ME, HELLO)
            while server.lost[Lost.CONTROL_MALFORMED] < 3:
                with trio.move_on_after(0.01):
                    await server.receive()
        assert server.lost[Lost.CONTROL_MALFORMED] == 3
        assert server._socket.send_nowait([ME, b"garbage"])
        assert server._socket.send_nowait([ME, b"too", b"many"])
        assert server.send(ME, Stop())
        assert await client.receive() == Stop()
        assert client.lost[Lost.CONTROL_MALFORMED] == 2
        client.close()


async def test_a_second_supervisor_is_refused(endpoint: str) -> None:
    with ControlServer(endpoint), pytest.raises(EndpointInUse):
        ControlServer(endpoint)
