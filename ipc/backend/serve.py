"""Runs a back end: one ROUTER that transceivers connect to, and a `Call` for each session they offer."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, assert_never

import trio

from ipc.backend.call import Call, CallEnded, Inbox
from ipc.backend.codec import encode_batches
from ipc.backend.desk import Desk, DeskOutput, Offered, Peer, Send, Told
from ipc.backend.messages import (
    Accept,
    AudioFormat,
    FromBackend,
    HangUp,
    Hello,
    Reject,
    SessionEnded,
    SessionStarted,
)
from ipc.backend.vad import Vad
from ipc.zmq_trio import EndpointError, Pattern, ZmqSocket

MAX_UNTAKEN: Final = 1024
"""Calls that wait to be taken; while there are as many, others are rejected."""
FAREWELL: Final = 0.5
"""Seconds that transceivers have to confirm the last hang-ups before the socket goes."""

Screen = Callable[[SessionStarted], str]
"""Says why a call is not wanted; an empty string takes it."""
ChooseVad = Callable[[SessionStarted], Vad | None]
"""Says what counts as speech in a call; None: what the transceiver's host says."""


class Calls(Inbox[Call]):
    """The calls that come in; iterate over them."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(MAX_UNTAKEN)
        self.desk = desk
        """Counters of the protocol."""


class _Server:
    def __init__(
        self,
        socket: ZmqSocket,
        desk: Desk,
        accept: Accept,
        audio: AudioFormat,
        screen: Screen,
        choose_vad: ChooseVad | None,
    ) -> None:
        self.calls = Calls(desk)
        self.undelivered = 0
        self._socket = socket
        self._desk = desk
        self._accept = accept
        self._audio = audio
        self._screen = screen
        self._choose_vad = choose_vad
        self._live: dict[str, Call] = {}
        self._outbox: dict[Peer, list[FromBackend]] = {}
        self._queued = trio.Event()
        self._heard = trio.Event()

    async def receive(self) -> None:
        while True:
            for frames in await self._socket.receive_batch():
                if len(frames) == 2:
                    peer, data = frames
                    self._carry_out(self._desk.handle(peer, data, trio.current_time()))
            self._heard.set()

    async def keep_time(self) -> None:
        while True:
            due = self._desk.next_timeout()
            await trio.sleep(0.1 if due is None else max(0.0, min(due - trio.current_time(), 0.1)))
            self._carry_out(self._desk.handle_timeout(trio.current_time()))

    async def send(self) -> None:
        """Whatever was said since the last turn leaves as one batch for each transceiver."""
        while True:
            await self._queued.wait()
            self._queued = trio.Event()
            self.flush()

    def flush(self) -> None:
        outbox, self._outbox = self._outbox, {}
        for peer, items in outbox.items():
            for count, data in encode_batches(items):
                if data is None or not self._socket.send_nowait([peer, data]):
                    self.undelivered += count

    def _carry_out(self, outputs: list[DeskOutput]) -> None:
        for output in outputs:
            match output:
                case Send():
                    self._outbox.setdefault(output.peer, []).extend(output.items)
                    self._queued.set()
                case Offered():
                    self._open(output.started)
                case Told():
                    self._tell(output)
                case _:
                    assert_never(output)

    def _open(self, started: SessionStarted) -> None:
        session, accept = started.session, self._accept
        try:
            why = "nobody takes calls" if self.calls.is_full else self._screen(started)
            vad = accept.vad if self._choose_vad is None else self._choose_vad(started)
        except Exception as error:  # what goes wrong with one call never ends another's
            sys.stderr.write(f"call {session} refused, for an error of who was to say whether:\n")
            traceback.print_exception(error)
            why, vad = "the back end failed", None
        if why:
            self._say(session, Reject(session, why))
            self._desk.release(session)
            return
        call = self._live[session] = Call(
            started, self._audio, lambda item: self._say(session, item)
        )
        self._say(session, Accept(session, self._audio, accept.speech, accept.barge_in, vad))
        self.calls.put(call)

    def _tell(self, told: Told) -> None:
        item = told.item
        session = getattr(item, "session", "")
        call = self._live.get(session)
        if call is not None:
            call.hear(item)
        if isinstance(item, SessionEnded):
            self._live.pop(session, None)

    def _say(self, session: str, item: FromBackend) -> None:
        self._carry_out(self._desk.say(item, session, trio.current_time()))

    async def stop(self) -> None:
        """Hang up on everybody, and wait until that has arrived: what is queued goes with the socket."""
        for session, call in list(self._live.items()):
            self._say(session, HangUp(session, "back end stopped"))
            call.hear(SessionEnded(session, "stopped"))
        self.calls.end()
        self.flush()
        with trio.move_on_after(FAREWELL, shield=True):
            while len(self._desk):
                self._heard = trio.Event()
                await self._heard.wait()


@asynccontextmanager
async def serve(
    endpoint: str,
    *,
    name: str = "backend",
    audio: AudioFormat | None = None,
    speech: bool = False,
    barge_in: bool = False,
    vad: Vad | ChooseVad | None = None,
    capacity: int = 0,
    screen: Screen = lambda started: "",
) -> AsyncIterator[Calls]:
    """Serve calls on a ZeroMQ end point (`tcp://127.0.0.1:7001`, `ipc:///run/agent.sock`).

    `audio`: the format of all calls, Opus unless said otherwise. `speech`: have voice activity told.
    `barge_in`: what plays is flushed when the caller begins to speak. `vad`: what counts as speech, of all
    calls or of each. `capacity`: calls at a time. `screen` may refuse a call. Raises EndpointError if it
    cannot listen there.

    At the end of the block the calls that still live are hung up.
    """
    audio = audio or AudioFormat()
    if not audio.valid:
        raise ValueError(f"{audio.encoding.value} has no rate of {audio.rate}")
    fixed, choose = (vad, None) if isinstance(vad, Vad) else (None, vad)
    if fixed is not None and fixed.wrong:
        raise ValueError(fixed.wrong)
    hello = Hello(name, instance=os.urandom(8).hex(), audio=audio, capacity=capacity)
    accept = Accept("", audio, speech, barge_in, fixed)
    with ZmqSocket(Pattern.ROUTER) as socket:
        socket.bind(endpoint, mode=0o660)
        server = _Server(socket, Desk(hello), accept, audio, screen, choose)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.receive)
            nursery.start_soon(server.keep_time)
            nursery.start_soon(server.send)
            try:
                yield server.calls
            finally:
                await server.stop()
                nursery.cancel_scope.cancel()


async def attend(
    calls: Calls,
    agent: Callable[[Call], Awaitable[None]],
    on_error: Callable[[Call, Exception], None],
) -> None:
    """Every call in a task of its own, for ever; one whose agent raises is hung up, alone."""

    async def answer(call: Call) -> None:
        try:
            async with call:
                await agent(call)
        except* CallEnded:
            pass  # the caller went first
        except* Exception as errors:  # one agent never ends another's call
            on_error(call, errors)

    async with trio.open_nursery() as nursery:
        async for call in calls:
            nursery.start_soon(answer, call)


async def run(
    endpoint: str,
    agent: Callable[[Call], Awaitable[None]],
    *,
    on_error: Callable[[Call, Exception], None] | None = None,
    name: str = "backend",
    audio: AudioFormat | None = None,
    speech: bool = False,
    barge_in: bool = False,
    vad: Vad | ChooseVad | None = None,
    capacity: int = 0,
    screen: Screen = lambda started: "",
) -> None:
    """Serve for ever, every call in a task of its own; a call whose agent raises is hung up, alone.

    `on_error` is told of it; without one the traceback goes to standard error. This is a program's whole
    life: where it cannot listen it ends (SystemExit), and says why. `serve` raises EndpointError instead.
    """

    serving = serve(
        endpoint,
        name=name,
        audio=audio,
        speech=speech,
        barge_in=barge_in,
        vad=vad,
        capacity=capacity,
        screen=screen,
    )
    try:
        async with serving as calls:
            await attend(calls, agent, on_error or _print)
    except EndpointError as error:
        raise SystemExit(f"{name}: cannot listen: {error}") from None


def _print(call: Call, error: Exception) -> None:
    sys.stderr.write(f"call {call.id} ended by an error of its agent:\n")
    traceback.print_exception(error)
