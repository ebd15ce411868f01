"""Request and reply with deadlines: one ROUTER that serves, any number of DEALERs that call.

A request is the frames [call, message], a reply the same call and a message; the call is its number and
when its caller gives up, u64 each. Whatever goes wrong at the server is answered with a Failure, so that a
caller learns it before its deadline.

Not ZMQ_IMMEDIATE, though that would keep a request from a server that came after its caller had given
up: libzmq then drops, when a server goes, also the replies that have arrived and that nobody has read. So
what is too late is left alone by the server.
"""

from __future__ import annotations

import itertools
import struct
import time
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from ipc.closing import Closing
from ipc.codec import CodecError, decode, encode
from ipc.curve import ClientCurve
from ipc.descriptors import share_of_descriptors
from ipc.log import Logger
from ipc.lost import Losses, Lost
from ipc.messages import Message
from ipc.messages.admin import Failure
from ipc.zmq_trio import EndpointError, Frames, Pattern, ZmqSocket, request_blocking

Handler = Callable[[Message], Awaitable[Message]]
"""Makes the reply of a request. What it raises becomes a Failure and a log line."""

MAX_CONCURRENT: Final = 256
"""Requests in work at a server and calls under way at a client, unless told otherwise."""
MAX_CONNECTIONS: Final = 4096
"""Of other hosts at an end point."""
HANDLER_DEADLINE: Final = 30.0
"""Seconds a handler may take; longer is a bug that would use up the slots of the server."""
_CALL: Final = struct.Struct(">QQ")
"""Its number, and in CLOCK_MONOTONIC's ns, which all processes of a host share, when it is too late."""
_NEVER: Final = (1 << 64) - 1
_MAX_WHY: Final = 2000


class RpcTimeout(Exception):
    """No reply within the time allowed."""


class RpcFailed(Exception):
    """The server answered that it could not; the text is its reason."""


class RpcServer(Closing):
    """Answers requests on one end point, several at a time.

    It listens from construction on, so its end point can be announced before `serve` runs; what comes
    early waits in the queue. Raises EndpointError if it cannot listen.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        log: Logger,
        limit: int = MAX_CONCURRENT,
        within: float = HANDLER_DEADLINE,
        mode: int = 0o600,
        secret: str = "",
        lost: Losses | None = None,
    ) -> None:
        """`secret`: of CURVE, without which nobody but this host's own may be let in.

        `lost`: where it is counted what came to nothing.
        """
        if not secret and not endpoint.startswith(("ipc://", "inproc://")):
            raise EndpointError(f"{endpoint}: other hosts may come only with CURVE")
        self.endpoint = endpoint
        self.lost = Losses() if lost is None else lost
        self.crowds = 0
        """Times that there were too many connections, and all were closed."""
        self._is_public = bool(secret)
        self._log = log
        self._limit = limit
        self._within = within
        self._in_work = 0
        self._closed = False
        self._socket = ZmqSocket(Pattern.ROUTER)
        try:
            if secret:
                self._socket.demand_curve(secret)
            self._socket.bind(endpoint, mode=mode)
        except BaseException:
            self._socket.close()
            raise

    async def serve(self, handler: Handler) -> None:
        """Answer until cancelled or closed."""
        async with trio.open_nursery() as nursery:
            if self._is_public:
                nursery.start_soon(self._keep_room)
            while True:
                for frames in await self._socket.receive_batch():
                    self._take(frames, handler, nursery)

    async def _keep_room(self) -> None:
        """Strangers can connect, though no more than that: they must not take all our descriptors."""
        most = share_of_descriptors(MAX_CONNECTIONS)
        while True:
            await self._socket.shed_crowd(most)
            self.crowds += 1
            if self.crowds.bit_count() == 1:
                self._log.warning(
                    "too many connections; all were closed",
                    endpoint=self.endpoint,
                    most=most,
                    times=self.crowds,
                )

    def close(self) -> None:
        """Stop listening; `serve` ends with trio.ClosedResourceError."""
        self._closed = True
        self._socket.close()

    def _take(self, frames: Frames, handler: Handler, nursery: trio.Nursery) -> None:
        if len(frames) != 3 or len(frames[1]) != _CALL.size:
            self.lost[Lost.REQUEST_MALFORMED] += 1
            return
        peer, call, data = frames
        if _CALL.unpack(call)[1] < time.monotonic_ns():
            self.lost[Lost.REQUEST_EXPIRED] += 1
            return
        try:
            request = decode(data)
        except CodecError as error:
            self.lost[Lost.REQUEST_MALFORMED] += 1
            self._refuse(peer, call, f"malformed request: {error}")
            return
        if self._in_work >= self._limit:
            self.lost[Lost.REQUEST_OVERLOADED] += 1
            self._refuse(peer, call, f"overloaded: {self._limit} requests in work")
            return
        self._in_work += 1
        nursery.start_soon(self._work, handler, peer, call, request)

    async def _work(self, handler: Handler, peer: bytes, call: bytes, request: Message) -> None:
        try:
            reply = await self._answer(handler, request)
        finally:
            self._in_work -= 1
        self._reply(peer, call, reply)

    async def _answer(self, handler: Handler, request: Message) -> bytes:
        name = type(request).__name__
        try:
            with trio.move_on_after(self._within):
                return encode(await handler(request))
            self._log.error("request took too long", request=name, seconds=self._within)
            why = f"{name}: not done within {self._within:g} s"
        except Exception as error:  # one failed request never stops the server
            self._log.exception("request failed", request=name)
            why = f"{name}: {type(error).__name__}: {error}"
        self.lost[Lost.REQUEST_FAILED] += 1
        return encode(Failure(why=why[:_MAX_WHY]))

    def _refuse(self, peer: bytes, call: bytes, why: str) -> None:
        self._reply(peer, call, encode(Failure(why=why[:_MAX_WHY])))

    def _reply(self, peer: bytes, call: bytes, reply: bytes) -> None:
        if self._closed or not self._socket.send_nowait([peer, call, reply]):
            self.lost[Lost.REPLY_UNDELIVERED] += 1


class _Call:
    __slots__ = ("reply", "turn")

    def __init__(self) -> None:
        self.reply: bytes | None = None
        self.turn = trio.Event()
        """Set when the reply is there, or when it is this call's turn to read the socket."""


class RpcClient(Closing):
    """Calls one end point, many calls at a time. Connects by itself, also when the server restarts.

    There is no background task: one of the waiting calls reads the socket for all of them.
    """

    def __init__(
        self, endpoint: str, *, limit: int = MAX_CONCURRENT, curve: ClientCurve | None = None
    ) -> None:
        """`curve`: of an end point on another host."""
        self.endpoint = endpoint
        self.late = 0
        """Replies that came after their call had given up."""
        self._limit = limit
        self._ids = itertools.count(1)
        self._calls: dict[bytes, _Call] = {}
        self._reading = False
        self._elsewhere = curve is not None
        self._socket = ZmqSocket(Pattern.DEALER)
        try:
            if curve is not None:
                self._socket.use_curve(curve)
            self._socket.connect(endpoint)
        except BaseException:
            self._socket.close()
            raise

    async def call(self, message: Message, within: float) -> Message:
        """The reply, after at most `within` seconds.

        Raises RpcTimeout, RpcFailed (a Failure came back, too many calls wait, a malformed reply),
        CodecError if the request itself is too big, trio.ClosedResourceError after `close`.

        A request that is under way when its server goes is lost with it and ends in RpcTimeout: whoever
        knows sooner that the server is gone closes the client.
        """
        data = encode(message)
        if len(self._calls) >= self._limit:
            raise RpcFailed(f"{self.endpoint}: {self._limit} calls wait already")
        name = _name(next(self._ids), within, elsewhere=self._elsewhere)
        call = self._calls[name] = _Call()
        try:
            with trio.move_on_after(within):
                await self._socket.send([name, data])
                await self._until_answered(call)
        finally:
            del self._calls[name]
            if not self._reading:  # it may have been this call's turn when its time was up
                self._pass_on()
        if call.reply is None:
            raise RpcTimeout(
                f"{self.endpoint}: no reply to {type(message).__name__} within {within:g} s"
            )
        return _accept(call.reply)

    def close(self) -> None:
        """Close; calls under way end with trio.ClosedResourceError."""
        self._socket.close()
        for call in self._calls.values():
            call.turn.set()

    async def _until_answered(self, call: _Call) -> None:
        while call.reply is None:
            if self._reading:
                await call.turn.wait()
                if call.reply is None:
                    call.turn = trio.Event()
                continue
            self._reading = True
            try:
                while call.reply is None:
                    for frames in await self._socket.receive_batch():
                        self._dispatch(frames)
            finally:
                self._reading = False

    def _pass_on(self) -> None:
        """Let the next unanswered call read; waking one too many does no harm."""
        for call in self._calls.values():
            if call.reply is None and not call.turn.is_set():
                call.turn.set()
                return

    def _dispatch(self, frames: Frames) -> None:
        call = self._calls.get(frames[0]) if len(frames) == 2 else None
        if call is None or call.reply is not None:
            self.late += 1
            return
        call.reply = frames[1]
        call.turn.set()


def _name(number: int, within: float, *, elsewhere: bool) -> bytes:
    """What a call is called, that is waited for so many seconds from now on.

    Another host's clock is another one: there a call is never too late.
    """
    return _CALL.pack(number, _NEVER if elsewhere else time.monotonic_ns() + int(within * 1e9))


def _accept(data: bytes) -> Message:
    try:
        reply = decode(data)
    except CodecError as error:
        raise RpcFailed(f"malformed reply: {error}") from error
    if isinstance(reply, Failure):
        raise RpcFailed(reply.why)
    return reply


def call_blocking(
    endpoint: str, message: Message, within: float, curve: ClientCurve | None = None
) -> Message:
    """One call without trio, for command-line programs.

    Raises ipc.zmq_trio.Unreachable or its NotAllowed at once if nobody listens, RpcTimeout, RpcFailed.
    """
    name = _name(0, within, elsewhere=curve is not None)
    try:
        frames = request_blocking(endpoint, [name, encode(message)], within, curve)
    except TimeoutError:
        raise RpcTimeout(
            f"{endpoint}: no reply to {type(message).__name__} within {within:g} s"
        ) from None
    if len(frames) != 2:
        raise RpcFailed("malformed reply")
    return _accept(frames[1])
