"""The clients of the relay bench: many source addresses on one socket.

The socket is bound to the wildcard; each datagram says with IP_PKTINFO which address of 127.1.0.0/16 it
comes from. To a relay that is a client per address. So a thousand flows cost the load no thousand
sockets, and the CPU that load and echo share can saturate the relay's.
"""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Final, NamedTuple

from appliance.supervisor.binding import set_receive_buffer
from bench.native import program
from bench.placement import placed
from config.ids import Endpoint

MEDIA: Final = bytes([0x80, 0x6F]) + bytes(158)
_FIRST: Final = 0x7F010001
_BUFFER: Final = 8 << 20
_IP_PKTINFO: Final = 8
_PKTINFO: Final = struct.Struct("=i4s4s")
_AT_ONCE: Final = 64


class Trip(NamedTuple):
    """What one run of the load found."""

    sent: int
    received: int
    p50: float
    """Round trip in microseconds."""
    p99: float


class Clients:
    """`count` flows towards one relay."""

    def __init__(self, count: int, relay: Endpoint) -> None:
        self.count = count
        self._relay = relay
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        set_receive_buffer(self._socket, _BUFFER)
        self._socket.bind(("0.0.0.0", 0))
        self._socket.setblocking(False)

    def __enter__(self) -> Clients:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._socket.close()

    def ask(
        self,
        question: Callable[[int], bytes],
        accept: Callable[[bytes], bool],
        within: float = 10.0,
    ) -> Mapping[int, bytes]:
        """Send each flow's question until it has an answer that is accepted; the answers, by flow."""
        answers: dict[int, bytes] = {}
        self._socket.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        self._socket.settimeout(0.02)
        deadline = time.monotonic() + within
        try:
            while len(answers) < self.count and time.monotonic() < deadline:
                missing = [flow for flow in range(self.count) if flow not in answers]
                for start in range(0, len(missing), _AT_ONCE):
                    for flow in missing[start : start + _AT_ONCE]:
                        self._send(flow, question(flow))
                    while self._hear(accept, answers):
                        if len(answers) >= self.count - len(missing) + start + _AT_ONCE:
                            break
        finally:
            self._socket.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 0)
            self._socket.setblocking(False)
        return answers

    def load(
        self,
        *,
        cpu: int,
        size: int,
        seconds: float,
        rate: int = 0,
        prefix: bytes = b"",
        nice: int = 0,
    ) -> Trip:
        """Send and receive on that CPU: `rate` datagrams a second, or 0: as much as is forwarded."""
        with suppress(BlockingIOError):
            while self._socket.recv(1):  # what came too late for the last one
                pass
        fd = self._socket.fileno()
        command = [program("load"), "--fd", str(fd)]
        command += ["--target", f"{self._relay.host}:{self._relay.port}", "--size", str(size)]
        command += ["--flows", str(self.count), "--seconds", str(seconds), "--rate", str(rate)]
        if prefix:
            command += ["--prefix", prefix.hex()]
        done = subprocess.run(
            placed(command, cpu, nice),
            pass_fds=[fd],
            stdout=subprocess.PIPE,
            start_new_session=True,
            check=True,
            timeout=seconds + 10,
        )
        found = json.loads(done.stdout)
        return Trip(found["sent"], found["received"], found["p50_us"], found["p99_us"])

    def _send(self, flow: int, datagram: bytes) -> None:
        source = _PKTINFO.pack(0, (_FIRST + flow).to_bytes(4, "big"), bytes(4))
        ancillary = [(socket.IPPROTO_IP, _IP_PKTINFO, source)]
        self._socket.sendmsg([datagram], ancillary, 0, self._relay)

    def _hear(self, accept: Callable[[bytes], bool], answers: dict[int, bytes]) -> bool:
        try:
            datagram, ancillary, _, _ = self._socket.recvmsg(2048, 64)
        except TimeoutError:
            return False
        _, _, to = _PKTINFO.unpack(ancillary[0][2])
        if accept(datagram):
            answers[int.from_bytes(to, "big") - _FIRST] = datagram
        return True
