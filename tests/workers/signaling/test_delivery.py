"""An answer that cannot be written ends the session it is about."""

from __future__ import annotations

import socket
import struct

import pytest
import trio

from tests.support.signaling import OFFER, Running, running_server
from workers.signaling.switchboard import Reply, Request

RESET = struct.pack("ii", 1, 0)


def post(path: str) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/sdp\r\n"
    return f"{head}Content-Length: {len(OFFER)}\r\n\r\n{OFFER}".encode()


class Gate:
    """Holds back what the transceivers say until the test lets it through."""

    def __init__(self, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked, self.open = trio.Event(), trio.Event()
        self._call = running.transceivers.call
        monkeypatch.setattr(running.transceivers, "call", self.call)

    async def call(self, rpc: str, request: Request, *, within: float) -> Reply:
        reply = await self._call(rpc, request, within=within)
        self.asked.set()
        await self.open.wait()
        return reply


@pytest.mark.parametrize("path", ["/v1/realtime/calls", "/whip/echo"])
async def test_a_client_that_has_gone_leaves_no_session(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_server() as running:
        gate = Gate(running, monkeypatch)
        stream = await running.connect()
        await stream.send_all(post(path))
        await gate.asked.wait()
        assert len(running.transceivers.sessions) == 1
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        await stream.aclose()
        gate.open.set()
        with trio.fail_after(30):
            while running.server.connections:
                await trio.sleep(0.005)
        assert not running.transceivers.sessions
        assert running.server.guarded == 0


async def test_a_client_that_stays_keeps_its_session(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_server() as running:
        gate = Gate(running, monkeypatch)
        gate.open.set()
        stream = await running.connect()
        await stream.send_all(post("/whip/echo"))
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 201")
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        await stream.aclose()
        with trio.fail_after(30):
            while running.server.connections:
                await trio.sleep(0.005)
        assert len(running.transceivers.sessions) == 1
