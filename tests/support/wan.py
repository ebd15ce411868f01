"""A small internet of network namespaces: delay, jitter, loss, cut cables, and a NAT in front of clients.

Each namespace has one TUN device. All of them are held by one process (`python -m tests.support.wan SPEC`),
which carries IPv4 packets from one to another after so long as the way between the two takes. It needs
root, /dev/net/tun and no module of the kernel beside. Lines of JSON on standard input change the weather:

    {"ways": {"home>eu": {"cut": true}}}      {"rebind": "home"}      {"move": "home", "to": "10.99.9.2"}

Each is answered with a line when it is in force. `internet()` is the door for tests.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import json
import os
import selectors
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Final

from tests.support.appliance import TREE

_TUNSETIFF: Final = 0x400454CA
_IFF_TUN_NO_PI: Final = 0x1001
_CLONE_NEWNET: Final = 0x40000000
_DEVICE: Final = "wan0"
_MTU: Final = 1500
UDP, _TCP = 17, 6
_CHECKSUM_AT: Final = {UDP: 6, _TCP: 16}
_MOST_QUEUED: Final = 20_000
_BATCH: Final = 64


class Nat:
    """One outside address for many inside ones: a mapping an inside port, open to whom it has talked to."""

    def __init__(self, outside: str) -> None:
        self._outside = socket.inet_aton(outside)
        self._next_port = 20_000
        self._ports: dict[tuple[int, bytes, int], int] = {}
        self._inside: dict[tuple[int, int], tuple[bytes, int]] = {}
        self._met: set[tuple[int, int, bytes, int]] = set()

    def forget(self, outside: str | None = None) -> None:
        """As after a restart of the box: every client appears at another port, or address."""
        self._outside = socket.inet_aton(outside) if outside else self._outside
        self._ports.clear()
        self._inside.clear()
        self._met.clear()

    def leave(self, packet: bytearray) -> bool:
        """Rewrite a packet from inside; False if it is of no kind that is translated."""
        protocol, at = _layer_4(packet)
        if protocol not in _CHECKSUM_AT:
            return False
        source, port = bytes(packet[12:16]), _port(packet, at)
        key = (protocol, source, port)
        if key not in self._ports:
            self._ports[key] = self._next_port
            self._inside[protocol, self._next_port] = (source, port)
            self._next_port += 1
        mapped = self._ports[key]
        self._met.add((protocol, mapped, bytes(packet[16:20]), _port(packet, at + 2)))
        _rewrite(packet, 12, self._outside, at, mapped)
        return True

    def enter(self, packet: bytearray) -> bool:
        """Rewrite a packet from outside; False if nobody inside has asked for it."""
        protocol, at = _layer_4(packet)
        if protocol not in _CHECKSUM_AT:
            return False
        mapped = _port(packet, at + 2)
        if (protocol, mapped, bytes(packet[12:16]), _port(packet, at)) not in self._met:
            return False
        address, port = self._inside[protocol, mapped]
        _rewrite(packet, 16, address, at + 2, port)
        return True


def _layer_4(packet: bytearray) -> tuple[int, int]:
    """Protocol, and where its header begins; protocol 0 for fragments and stumps."""
    at = (packet[0] & 15) * 4
    fragment = int.from_bytes(packet[6:8], "big") & 0x1FFF
    protocol = packet[9]
    whole = len(packet) >= at + (20 if protocol == _TCP else 8)
    return (protocol if whole and not fragment else 0), at


def _port(packet: bytearray, at: int) -> int:
    return int.from_bytes(packet[at : at + 2], "big")


def _rewrite(packet: bytearray, where: int, address: bytes, port_at: int, port: int) -> None:
    """Another address and port, and checksums that fit (RFC 1624)."""
    protocol, at = _layer_4(packet)
    summed = at + _CHECKSUM_AT[protocol]
    old = bytes(packet[where : where + 4]) + bytes(packet[port_at : port_at + 2])
    new = address + port.to_bytes(2, "big")
    packet[where : where + 4] = address
    packet[port_at : port_at + 2] = new[4:]
    if protocol != UDP or packet[summed : summed + 2] != b"\0\0":
        _adjust(packet, summed, old, new)
    _adjust(packet, 10, old[:4], address)


def _adjust(packet: bytearray, at: int, old: bytes, new: bytes) -> None:
    total = ~_port(packet, at) & 0xFFFF
    for i in range(0, len(old), 2):
        total += (~int.from_bytes(old[i : i + 2], "big") & 0xFFFF) + int.from_bytes(
            new[i : i + 2], "big"
        )
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    packet[at : at + 2] = (~total & 0xFFFF).to_bytes(2, "big")


class Wan:
    """Carries packets between the nodes of a specification, for ever."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self._random = Random(spec.get("seed", 1))
        self._ways: dict[str, dict[str, Any]] = dict(spec["ways"])
        self._tuns: dict[str, int] = {}
        self._nats: dict[str, Nat] = {}
        self._at: dict[bytes, str] = {}
        for name, node in spec["nodes"].items():
            self._tuns[name] = _tun(node["namespace"], node["address"], nat="outside" in node)
            for address in node.get("outside", [node["address"]]):
                self._at[socket.inet_aton(address)] = name
            if "outside" in node:
                self._nats[name] = Nat(node["outside"][0])
        self._queue: list[tuple[float, int, int, bytes]] = []
        self._number = 0
        self._line = b""

    def run(self) -> None:
        """Until standard input ends."""
        selector = selectors.DefaultSelector()
        selector.register(sys.stdin.fileno(), selectors.EVENT_READ, "")
        for name, tun in self._tuns.items():
            selector.register(tun, selectors.EVENT_READ, name)
        print("ready", flush=True)
        while True:
            wait = max(0.0, self._queue[0][0] - time.monotonic()) if self._queue else None
            for key, _ in selector.select(wait):
                if key.data:
                    self._read(key.data, key.fd)
                elif not self._obey():
                    return
            self._deliver(time.monotonic())

    def _obey(self) -> bool:
        said = os.read(0, 65_536)
        *lines, self._line = (self._line + said).split(b"\n")
        for line in lines:
            order = json.loads(line)
            for way, weather in order.get("ways", {}).items():
                self._ways[way] = {**self._ways.get(way, {}), **weather}
            if "rebind" in order:
                self._nats[order["rebind"]].forget()
            if "move" in order:
                self._nats[order["move"]].forget(order["to"])
            print("done", flush=True)
        return bool(said)

    def _read(self, name: str, tun: int) -> None:
        for _ in range(_BATCH):
            try:
                packet = bytearray(os.read(tun, 65_536))
            except BlockingIOError:
                return
            if len(packet) < 28 or packet[0] >> 4 != 4:
                continue
            to = self._at.get(bytes(packet[16:20]))
            if to is None or to == name or len(self._queue) >= _MOST_QUEUED:
                continue
            way = self._ways.get(f"{name}>{to}") or self._ways.get(f"{to}>{name}") or {}
            protocol = packet[9]
            if way.get("cut") or protocol in way.get("blocked", ()):
                continue
            if self._random.random() < way.get("loss", 0.0):
                continue
            if name in self._nats and not self._nats[name].leave(packet):
                continue
            late = way.get("delay", 0.0) + abs(self._random.gauss(0.0, way.get("jitter", 0.0)))
            self._number += 1
            due = (time.monotonic() + late, self._number, self._tuns[to], bytes(packet))
            heapq.heappush(self._queue, due)

    def _deliver(self, now: float) -> None:
        names = {tun: name for name, tun in self._tuns.items()}
        while self._queue and self._queue[0][0] <= now:
            _, _, tun, packet = heapq.heappop(self._queue)
            nat = self._nats.get(names[tun])
            arrived = bytearray(packet)
            if nat is not None and not nat.enter(arrived):
                continue
            try:
                os.write(tun, arrived)
            except OSError:
                continue  # a full device drops, as a full router does


def _tun(namespace: str, address: str, *, nat: bool) -> int:
    """A device in that namespace, whose other end is the descriptor."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if libc.setns(there, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH22x", _DEVICE.encode(), _IFF_TUN_NO_PI))
    finally:
        libc.setns(home, _CLONE_NEWNET)
        os.close(there)
        os.close(home)
    for command in (
        f"link set {_DEVICE} mtu {_MTU} up",
        f"addr add {address}/{24 if nat else 16} dev {_DEVICE}",
        f"route add default dev {_DEVICE}",
        "link set lo up",
    ):
        subprocess.run(["ip", "-n", namespace, *command.split()], check=True)
    return tun


# --- for tests ------------------------------------------------------------------------------------


class Internet:
    """The namespaces, and the weather between them."""

    def __init__(self, prefix: str, process: subprocess.Popen[str]) -> None:
        self._prefix = prefix
        self._process = process

    def inside(self, node: str) -> list[str]:
        """What to put in front of a command that is to run there."""
        return ["nsenter", f"--net=/run/netns/{self._prefix}{node}"]

    def change(self, **order: Any) -> None:
        """Change the weather: `ways`, `rebind`, or `move` and `to`. In force when this returns."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"


@contextmanager
def internet(
    nodes: Mapping[str, Mapping[str, Any]], ways: Mapping[str, Mapping[str, Any]], seed: int = 1
) -> Iterator[Internet]:
    """`nodes`: name -> `address`, and behind a NAT its `outside` addresses; `ways`: `a>b` -> weather."""
    prefix = f"tandem{os.getpid()}-"
    spec = {
        "seed": seed,
        "ways": ways,
        "nodes": {name: {**node, "namespace": prefix + name} for name, node in nodes.items()},
    }
    try:
        for name in nodes:
            _ip("netns", "add", prefix + name)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.wan", json.dumps(spec)],
            cwd=TREE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n", "the WAN did not start"
                yield Internet(prefix, process)
            finally:
                process.kill()
    finally:
        for name in nodes:
            if Path(f"/run/netns/{prefix}{name}").exists():
                _ip("netns", "del", prefix + name)


def why_not() -> str:
    """Why there can be no namespaces here; empty if there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun"
    tried = subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else tried.stderr.decode().strip()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def main(arguments: Sequence[str]) -> None:
    """`python -m tests.support.wan SPEC`."""
    Wan(json.loads(arguments[0])).run()


if __name__ == "__main__":
    main(sys.argv[1:])
