"""What end points say over real sockets, and how much of it at a time."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
import trio

from config.ids import SessionId
from ipc.backend.call import Call
from ipc.backend.codec import MAX_ITEMS, MAX_MESSAGE, decode_to_backend, encode_batch
from ipc.backend.messages import AudioIn, HangUp, Heartbeat, Hello, ToBackend
from ipc.backend.serve import serve
from ipc.zmq_trio import Pattern, ZmqSocket
from tests.support.appliance import TREE, free_tcp_port
from tests.support.services import service
from tests.support.short_path import short_directory as short_directory
from workers.transceiver.audio.voice import Voice
from workers.transceiver.backends.links import TURN, Links
from workers.transceiver.backends.remote import Remote
from workers.transceiver.core.interface import Created, FromSession, StateChanged
from workers.transceiver.core.sctp.interface import ChannelOpened, MessageReceived
from workers.transceiver.core.states import SessionState
from workers.transceiver.core.streams.interface import Stream
from workers.transceiver.media.loans import EarLoan, EarTerms, Line, VoiceLoan, VoiceTerms

ECHO: Final = TREE / "tests" / "process" / "echo_service.py"
OPENED: Final = ChannelOpened(0, "chat", "", ordered=True, by_peer=True)
MESSAGE: Final = MessageReceived(0, b"are you there?", text=True)


async def test_who_never_stops_talking_is_heard_a_piece_at_a_time(short_directory: Path) -> None:
    endpoint = f"ipc://{short_directory}/b"
    remote = Remote(
        "agent", Hello("t", instance="t"), [endpoint], buffer=1.0, entropy=bytes, make_voice=Voice
    )
    mistakes = encode_batch([HangUp("nobody")] * MAX_ITEMS)
    at_a_time = MAX_ITEMS * (TURN // len(mistakes) + 1)
    told = 0
    with Links(remote) as links, ZmqSocket(Pattern.ROUTER) as backend, trio.fail_after(60):
        backend.bind(endpoint)
        while True:
            links.keep_time(trio.current_time())
            links.flush(trio.current_time())
            if (heard := backend.receive_nowait()) is not None:
                break
            await trio.sleep(0.01)
        backend.send_nowait([heard[0], encode_batch([Hello("b", instance="b")])])
        for _ in range(50):
            assert backend.send_nowait([heard[0], mistakes])
        while told < 50 * MAX_ITEMS:
            links.take(trio.current_time())
            now = links.stats()[endpoint].mistakes.get("unknown_session", 0)
            assert now - told <= at_a_time
            told = now
            await trio.sleep(0.001)


class Wire:
    """A TCP connection to a back end that a test can cut."""

    def __init__(self, to: int) -> None:
        self.port = free_tcp_port()
        self._to = to
        self._open: list[trio.CancelScope] = []

    async def carry(self) -> None:
        """For ever."""
        await trio.serve_tcp(self._join, self.port, host="127.0.0.1")

    def cut(self) -> None:
        """All connections that there are; new ones are taken."""
        for scope in self._open:
            scope.cancel()
        self._open.clear()

    async def _join(self, near: trio.SocketStream) -> None:
        far = await trio.open_tcp_stream("127.0.0.1", self._to)
        async with far, near, trio.open_nursery() as nursery:
            self._open.append(nursery.cancel_scope)
            nursery.start_soon(self._copy, near, far)
            nursery.start_soon(self._copy, far, near)

    async def _copy(self, one: trio.SocketStream, other: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):
            async for data in one:
                await other.send_all(data)


async def test_a_connection_that_breaks_ends_no_session() -> None:
    port = free_tcp_port()
    wire = Wire(port)
    endpoint = f"tcp://127.0.0.1:{wire.port}"
    remote = Remote(
        "agent", Hello("t", instance="t"), [endpoint], buffer=1.0, entropy=bytes, make_voice=Voice
    )
    session = SessionId("rtc_0_s")

    async def turn() -> None:
        now = trio.current_time()
        assert links.take(now) + links.keep_time(now) == []
        if remote.endpoint(session):
            remote.handle(FromSession(session, MESSAGE), now)
        links.flush(now)
        await trio.sleep(0.02)

    async def next_call() -> Call:
        """The next one that is spoken to."""
        while (call := calls.take_nowait()) is None:
            await turn()
        while call.data.take_nowait() is None:
            await turn()
        return call

    with trio.fail_after(60), Links(remote) as links:
        async with serve(f"tcp://127.0.0.1:{port}") as calls, trio.open_nursery() as nursery:
            nursery.start_soon(wire.carry)
            while not remote.is_there:
                await turn()
            now = trio.current_time()
            remote.begin(Created(0, session, "answer", "agent", data=True), now)
            remote.handle(FromSession(session, OPENED), now)
            remote.handle(FromSession(session, StateChanged(SessionState.CONNECTED)), now)
            first = await next_call()
            assert not first.resumed
            wire.cut()
            second = await next_call()
            assert first.ended
            assert second.id == first.id
            assert second.resumed
            nursery.cancel_scope.cancel()


async def test_a_back_end_that_is_killed_is_missed_before_it_is_silent(
    short_directory: Path,
) -> None:
    one, two = (f"ipc://{short_directory}/{name}" for name in "ab")
    remote = Remote(
        "agent", Hello("t", instance="t"), [one, two], buffer=1.0, entropy=bytes, make_voice=Voice
    )
    session = SessionId("rtc_0_s")
    now = trio.current_time()  # stands still: nobody is silent

    async def until(whose: str) -> None:
        while remote.endpoint(session) != whose:
            assert links.take(now) + links.keep_time(now) == []
            links.flush(now)
            await trio.sleep(0.01)

    with trio.fail_after(60), Links(remote) as links:
        async with service(ECHO, one) as first:
            while not remote.is_there:
                links.keep_time(now)
                links.take(now)
                links.flush(now)
                await trio.sleep(0.01)
            remote.begin(Created(0, session, "answer", "agent", data=True), now)
            remote.handle(FromSession(session, StateChanged(SessionState.CONNECTED)), now)
            await until(one)
            first.kill()
            await until("")
            assert not remote.stats()[one].live
        async with service(ECHO, two):
            await until(two)


class Lent(Line):
    """To a back end for which something was made without us."""

    def __init__(self, batch: bytes) -> None:
        super().__init__()
        self._batch = batch

    def take_batch(self) -> tuple[bytes, int]:
        batch, self._batch = self._batch, b""
        return batch, bool(batch)


class Lender:
    """A plane that takes nothing, and has made something before."""

    def __init__(self, batch: bytes) -> None:
        self.done = 0
        self._batch = batch

    def open_line(self) -> Line:
        return Lent(self._batch)

    def lend_ear(self, stream: Stream, line: Line, terms: EarTerms) -> EarLoan | None:
        return None

    def lend_voice(self, stream: Stream, line: Line, terms: VoiceTerms) -> VoiceLoan | None:
        return None


@pytest.mark.parametrize(("octets", "batches"), [(100, 1), (MAX_MESSAGE - 100, 2)])
async def test_what_was_lent_and_what_was_not_is_one_batch_if_it_can_be(
    short_directory: Path, octets: int, batches: int
) -> None:
    endpoint = f"ipc://{short_directory}/b"
    remote = Remote(
        "agent", Hello("t", instance="t"), [endpoint], buffer=1.0, entropy=bytes, make_voice=Voice
    )
    lent = AudioIn("s", 0, bytes(octets))
    others: list[ToBackend] = [Heartbeat(), AudioIn("s", 20, bytes(200))]
    remote.employ(Lender(encode_batch([lent])), lambda session: None)
    with Links(remote) as links, ZmqSocket(Pattern.ROUTER) as backend, trio.fail_after(60):
        backend.bind(endpoint)
        while (greeting := backend.receive_nowait()) is None:
            links.keep_time(trio.current_time())
            links.flush(trio.current_time())
            await trio.sleep(0.01)
        backend.send_nowait([greeting[0], encode_batch([Hello("b", instance="b")])])
        while not remote.is_there:
            links.take(trio.current_time())
            await trio.sleep(0.01)
        while (heard := backend.receive_batch_nowait()) != []:
            assert decode_to_backend(heard[0][1]) == [Hello("t", instance="t")]
        remote.outbox[endpoint].extend(others)
        links.flush(trio.current_time())
        told = [decode_to_backend((await backend.receive())[1]) for _ in range(batches)]
        assert [item for batch in told for item in batch] == [lent, *others]
        assert not remote.outbox
