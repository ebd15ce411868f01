"""ZeroMQ under trio. The only file that knows ZeroMQ.

What is peculiar, and what follows from it here:

- The descriptor of a ZeroMQ socket (ZMQ_FD) is edge-triggered and says only "look at EVENTS". It is
  waited on for *readable* whatever one waits for, and every send, receive and look at EVENTS may eat the
  edge that another task sleeps on. So one task (the leader) waits on the descriptor, the others
  (followers) are parked, and whoever touched the socket looks at EVENTS on behalf of all of them.
- A message that was taken out of the socket is returned without a checkpoint in between: cancellation
  can come before or after, never lose one.
- High-water marks are always set, linger is zero, frames are bounded, routers say when a peer is gone.
- libzmq's own `bind` removes a socket file that another process listens on, and its `close` removes the
  file some time later, maybe the successor's. So the listening socket is made by `ipc.socket_file` and
  handed to libzmq (ZMQ_USE_FD), which then leaves the file alone.
- A process must not fork once a context exists; ours never fork, they exec.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from enum import Enum
from typing import Final

import trio
import zmq
from zmq.utils import z85
from zmq.utils.monitor import parse_monitor_message

from ipc.closing import Closing
from ipc.codec import MAX_MESSAGE
from ipc.curve import ClientCurve, KeyPair
from ipc.probe import NotAllowed as NotAllowed
from ipc.probe import Unreachable as Unreachable
from ipc.probe import probe
from ipc.socket_file import EndpointError as EndpointError
from ipc.socket_file import EndpointInUse as EndpointInUse
from ipc.socket_file import SocketFile, ipc_path

Frames = list[bytes]
"""One ZeroMQ message."""

DEFAULT_HWM: Final = 1000
"""Messages queued per direction and peer."""
_DOMAIN: Final = b"tandem"
_REFUSED: Final = zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
_CROWD: Final = int(zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
_LIFE: Final = int(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
_NOT_TALKED: Final = int(_REFUSED | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)
_RECONNECT_MS: Final = 50
_RECONNECT_MAX_MS: Final = 1000
_HANDSHAKE_MS: Final = 5000
_PULSE_MS: Final = 1000
_PULSE_MISSED_MS: Final = 3000
_NOWAIT: Final = zmq.DONTWAIT
_IN: Final = int(zmq.POLLIN)
_OUT: Final = int(zmq.POLLOUT)


class Pattern(Enum):
    """The ZeroMQ socket types in use."""

    DEALER = zmq.DEALER
    ROUTER = zmq.ROUTER
    PUSH = zmq.PUSH
    PULL = zmq.PULL


class _Threads:
    """The one context of this process, made with the first socket."""

    def __init__(self) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] | None = None
        self.cpus: tuple[int, ...] = ()

    def socket(self, pattern: Pattern) -> zmq.Socket[bytes]:
        if self.context is None:
            self.context = zmq.Context(io_threads=1)
            for cpu in self.cpus:
                self.context.set(zmq.THREAD_AFFINITY_CPU_ADD, cpu)
        raw = self.context.socket(pattern.value)
        raw.setsockopt(zmq.LINGER, 0)
        raw.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
        raw.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_MAX_MS)
        return raw


_threads: Final = _Threads()


def pin_io_thread(cpus: Collection[int]) -> None:
    """Keep ZeroMQ's threads on these CPUs. Only before the first socket; RuntimeError afterwards.

    libzmq aborts the process if it cannot: pass only CPUs that this process may use.
    """
    if _threads.context is not None:
        raise RuntimeError("ZeroMQ's threads run already")
    _threads.cpus = tuple(sorted(cpus))


def shut_down(linger: float = 0.0) -> None:
    """Close every socket and end ZeroMQ's threads; `linger` seconds for what is still to be sent.

    The last act of a process. A later socket would start a new context.
    """
    context, _threads.context = _threads.context, None
    if context is not None:
        context.destroy(linger=int(linger * 1000))


class ZmqSocket(Closing):
    """A ZeroMQ socket for any number of concurrent trio tasks.

    `immediate`: queue only to peers that are connected now, so that nothing stale is delivered to a
    successor. It has a price: when the peer goes, libzmq drops what has arrived from it and was not yet
    received. `identity`: the routing id that a router sees; of two living peers with the same one it
    serves the first. `most`: bytes of a frame; a peer that sends a larger one is disconnected.
    """

    def __init__(
        self,
        pattern: Pattern,
        *,
        hwm: int = DEFAULT_HWM,
        identity: bytes = b"",
        immediate: bool = False,
        most: int = MAX_MESSAGE,
    ) -> None:
        if hwm < 1:
            raise ValueError("a high-water mark of 0 would be unbounded")
        self.overflowed = 0
        """`send_nowait` calls that found the queue full or nobody connected."""
        self.unreachable = 0
        """`send_nowait` calls of a router to a peer that is gone."""
        self.is_connected = False
        """As `count_connections` has seen it last, if it looked before `connect`."""
        self._pattern = pattern
        self._raw = raw = _threads.socket(pattern)
        raw.setsockopt(zmq.SNDHWM, hwm)
        raw.setsockopt(zmq.RCVHWM, hwm)
        raw.setsockopt(zmq.MAXMSGSIZE, most)
        if identity:
            raw.setsockopt(zmq.ROUTING_ID, identity)
        if immediate:
            raw.setsockopt(zmq.IMMEDIATE, 1)
        if pattern is Pattern.ROUTER:
            raw.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._fd = int(raw.getsockopt(zmq.FD))
        self._receivers = trio.lowlevel.ParkingLot()
        self._senders = trio.lowlevel.ParkingLot()
        self._leader: trio.CancelScope | None = None
        self._leader_wants = 0
        self._closed = False
        self._connections = 0
        self._monitor: zmq.Socket[bytes] | None = None
        self._places: list[SocketFile] = []
        self._names: list[str] = []
        """Of this process, that we have taken."""

    def demand_curve(self, secret: str) -> None:
        """Before `bind`: let in only clients whose keys a `Door` of this process knows."""
        self._raw.setsockopt(zmq.CURVE_SERVER, 1)
        self._raw.setsockopt(zmq.CURVE_SECRETKEY, secret.encode())
        # Without this libzmq lets everybody in as long as nobody answers for the door.
        self._raw.setsockopt(zmq.ZAP_DOMAIN, _DOMAIN)
        self._raw.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
        self._raw.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)

    def use_curve(self, curve: ClientCurve) -> None:
        """Before `connect`: talk to that server alone, and be who we are. Between hosts.

        A peer that is silent for some seconds is connected to anew: without power it says no farewell.
        """
        _set_curve(self._raw, curve)
        self._raw.setsockopt(zmq.HEARTBEAT_IVL, _PULSE_MS)
        self._raw.setsockopt(zmq.HEARTBEAT_TIMEOUT, _PULSE_MISSED_MS)

    # -- where --------------------------------------------------------------------------------------

    def bind(self, endpoint: str, *, mode: int = 0o600) -> None:
        """Listen on `ipc://PATH` (the file gets `mode`) or any other ZeroMQ end point.

        Raises EndpointInUse if somebody alive serves that path, else EndpointError.
        """
        try:
            if (path := ipc_path(endpoint)) is None:
                self._raw.setsockopt(zmq.IPV6, int("[" in endpoint))
                self._raw.bind(endpoint)
                if endpoint.startswith("inproc://"):
                    self._names.append(endpoint)
                return
            place = SocketFile(path, mode)
            self._places.append(place)
            self._raw.setsockopt(zmq.USE_FD, place.listener.fileno())
            self._raw.bind(endpoint)
            place.listener.detach()  # libzmq's from now on
            self._raw.setsockopt(zmq.USE_FD, -1)
        except (zmq.ZMQError, OSError) as error:
            raise EndpointError(f"{endpoint}: {error}") from error

    def connect(self, endpoint: str) -> None:
        """Connect, now or when somebody binds it, and again whenever the connection breaks."""
        ipc_path(endpoint)
        try:
            self._raw.setsockopt(zmq.IPV6, int("[" in endpoint))
            self._raw.connect(endpoint)
        except zmq.ZMQError as error:
            raise EndpointError(f"{endpoint}: {error}") from error

    async def shed_crowd(self, most: int) -> None:
        """Wait until more than `most` connections are open, then close all; for one task.

        libzmq takes as many as come, and aborts the process when it is out of descriptors. Who is honest
        connects anew by itself.
        """
        self._monitor = monitor = self._raw.get_monitor_socket(_CROWD)
        count = 0
        while True:
            while monitor.poll(0):
                event = parse_monitor_message(monitor.recv_multipart(_NOWAIT))
                # What has been closed before this began may be told late.
                count = max(0, count + (1 if event["event"] == zmq.EVENT_ACCEPTED else -1))
            if count > most:
                break
            await trio.lowlevel.wait_readable(int(monitor.getsockopt(zmq.FD)))
        endpoint = self._raw.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")
        self._raw.unbind(endpoint)
        while True:
            try:
                self._raw.bind(endpoint)
                return
            except zmq.ZMQError as error:  # its listener closes in a thread of libzmq's
                if error.errno != zmq.EADDRINUSE:
                    raise
            await trio.sleep(_RECONNECT_MS / 1000)

    def count_connections(self) -> int:
        """Connections made so far, counted from the first call on: another number, another peer."""
        self._check_open()
        if self._monitor is None:
            self._monitor = self._raw.get_monitor_socket(_LIFE)
            self._monitor.setsockopt(zmq.LINGER, 0)
        while self._monitor.poll(0):
            event = parse_monitor_message(self._monitor.recv_multipart(_NOWAIT))["event"]
            self.is_connected = event == zmq.EVENT_HANDSHAKE_SUCCEEDED
            self._connections += self.is_connected
        return self._connections

    # -- messages -----------------------------------------------------------------------------------

    async def receive(self) -> Frames:
        """The next message. Raises trio.ClosedResourceError when closed."""
        await trio.lowlevel.checkpoint()
        while (frames := self.receive_nowait()) is None:
            await self._wait(_IN)
        return frames

    async def receive_batch(self, limit: int = 64) -> list[Frames]:
        """At least one message and at most `limit`: what is there, in order."""
        await trio.lowlevel.checkpoint()
        while not (batch := self.receive_batch_nowait(limit)):
            await self._wait(_IN)
        return batch

    def receive_batch_nowait(self, limit: int = 64) -> list[Frames]:
        """At most `limit` messages: what is there, in order."""
        batch: list[Frames] = []
        self._check_open()
        while len(batch) < limit and self._events() & _IN:
            batch.append(self._raw.recv_multipart(_NOWAIT))
        self._look_for_others()
        return batch

    def receive_nowait(self) -> Frames | None:
        """The next message if there is one."""
        # To ask first costs half of what it costs to be told that there is none.
        if not self.receivable():
            self._look_for_others()
            return None
        frames = self._raw.recv_multipart(_NOWAIT)
        self._look_for_others()
        return frames

    async def send(self, frames: Sequence[bytes]) -> None:
        """Queue a message, waiting for room (and, if `immediate`, for a connection).

        Not for routers: they cannot wait for one peer while another one has room.
        """
        assert self._pattern is not Pattern.ROUTER
        await trio.lowlevel.checkpoint()
        while not self._try_send(frames):
            await self._wait(_OUT)

    def send_nowait(self, frames: Sequence[bytes]) -> bool:
        """Queue a message now. False, and counted, if there is no room or no such peer."""
        try:
            sent = self._try_send(frames)
        except Unreachable:
            self.unreachable += 1
            return False
        if not sent:
            self.overflowed += 1
        return sent

    def close(self) -> None:
        """Close; tasks that wait on the socket get trio.ClosedResourceError. Never blocks."""
        if self._closed:
            return
        self._closed = True
        if self._leader is not None:
            trio.lowlevel.notify_closing(self._fd)
        self._receivers.unpark_all()
        self._senders.unpark_all()
        for place in self._places:
            place.leave()
        for name in self._names:  # a thread of libzmq's would give it back, some time later
            self._raw.unbind(name)
        if self._monitor is not None:
            self._raw.disable_monitor()
            self._monitor.close()
        self._raw.close()

    # -- readiness ----------------------------------------------------------------------------------

    @property
    def descriptor(self) -> int:
        """For one task that waits for several sockets at once and for which no other waits on this one.

        It becomes readable when something may have come since `receivable` was last false, with no other
        call in between.
        """
        return self._fd

    def receivable(self) -> bool:
        """Whether there is a message."""
        self._check_open()
        return bool(self._events() & _IN)

    def _check_open(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this ZeroMQ socket is closed")

    def _try_send(self, frames: Sequence[bytes]) -> bool:
        self._check_open()
        try:
            if len(frames) == 1:
                self._raw.send(frames[0], _NOWAIT)
            else:
                self._raw.send_multipart(frames, _NOWAIT)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno == zmq.EHOSTUNREACH:
                raise Unreachable("no such peer") from None
            raise
        finally:
            self._look_for_others()
        return True

    def _look_for_others(self) -> None:
        """After any operation: it may have eaten the edge that somebody sleeps on."""
        if self._leader is not None or self._receivers or self._senders:
            self._wake(self._events())

    def _events(self) -> int:
        return int(self._raw.getsockopt(zmq.EVENTS))

    def _wake(self, events: int) -> None:
        # One of each kind: whoever proceeds looks again on behalf of the rest.
        if events & _IN:
            self._receivers.unpark()
        if events & _OUT:
            self._senders.unpark()
        if self._leader is not None and events & self._leader_wants:
            self._leader.cancel()

    async def _wait(self, wanted: int) -> None:
        """Return when EVENTS show one of `wanted`; then the caller tries at once, without a checkpoint."""
        while True:
            self._check_open()
            events = self._events()
            self._wake(events)
            if events & wanted:
                return
            if self._leader is not None:
                await (self._receivers if wanted & _IN else self._senders).park()
                continue
            with trio.CancelScope() as self._leader:
                self._leader_wants = wanted
                try:
                    await trio.lowlevel.wait_readable(self._fd)
                finally:
                    # Cancelled or not: somebody else must wait on the descriptor from now on.
                    self._leader = None
                    self._receivers.unpark()
                    self._senders.unpark()


def make_key_pair() -> KeyPair:
    """A new one for CURVE."""
    public, secret = zmq.curve_keypair()
    return KeyPair(public.decode(), secret.decode())


def key_pair_of(secret: str) -> KeyPair:
    """With the public key that belongs to a secret one."""
    return KeyPair(zmq.curve_public(secret.encode()).decode(), secret)


def encode_key(key: bytes) -> str:
    """32 bytes as text."""
    return z85.encode(key).decode()


def request_blocking(
    endpoint: str, frames: Sequence[bytes], within: float, curve: ClientCurve | None = None
) -> Frames:
    """Send one request and wait for one reply, without trio. For command-line programs.

    Raises Unreachable or NotAllowed at once if nobody listens or we may not come in, TimeoutError after
    `within` seconds.
    """
    deadline = time.monotonic() + within
    probe(endpoint, within)
    with _threads.socket(Pattern.DEALER) as raw:
        raw.setsockopt(zmq.IPV6, int("[" in endpoint))
        if curve is not None:
            _set_curve(raw, curve)
        with raw.get_monitor_socket(_NOT_TALKED) as failures:
            failures.setsockopt(zmq.LINGER, 0)
            raw.connect(endpoint)
            raw.send_multipart(frames)
            waiting = zmq.Poller()
            waiting.register(raw, zmq.POLLIN)
            waiting.register(failures, zmq.POLLIN)
            ready = dict(waiting.poll(max(0, int((deadline - time.monotonic()) * 1000))))
            raw.disable_monitor()
        if raw in ready:
            return raw.recv_multipart()
        if ready:
            raise NotAllowed(f"{endpoint}: it knows another key, or not ours")
        raise TimeoutError(f"{endpoint}: no reply within {within:g} s")


def _set_curve(raw: zmq.Socket[bytes], curve: ClientCurve) -> None:
    raw.setsockopt(zmq.CURVE_SERVERKEY, curve.server.encode())
    raw.setsockopt(zmq.CURVE_PUBLICKEY, curve.own.public.encode())
    raw.setsockopt(zmq.CURVE_SECRETKEY, curve.own.secret.encode())
