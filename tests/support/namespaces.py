"""A small internet of network namespaces: clients, a router that can be rude, and a server.

    client 10.77.0.2, fd77::2 -- router -- server 10.77.1.2 and .3, fd77:1::2 and ::3

The server prefers its first address of each family for what it sends by itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Final

import pytest

CLIENT: Final = ("10.77.0.2", "fd77::2")
SERVER: Final = ("10.77.1.2", "fd77:1::2")
SECOND: Final = ("10.77.1.3", "fd77:1::3")
"""The server's other addresses."""
PUBLIC: Final = ("203.0.113.7", "2001:db8::7")
"""What `nat` makes of the server's first addresses."""
_NUMBERS: Final = count()
_NEEDED: Final = ("ip", "nft")


class Net:
    """Three namespaces, by the prefix of a command that runs in each."""

    def __init__(self, name: str) -> None:
        self._client, self._router, self._server = (f"{name}{part}" for part in "crs")

    @property
    def client(self) -> tuple[str, ...]:
        """`ip netns exec ...`"""
        return ("ip", "netns", "exec", self._client)

    @property
    def server(self) -> tuple[str, ...]:
        """`ip netns exec ...`"""
        return ("ip", "netns", "exec", self._server)

    def block_udp(self) -> None:
        """The router drops every datagram, and tells nobody."""
        self._nft("add table inet wall")
        self._nft("add chain inet wall pass { type filter hook forward priority 0; }")
        self._nft("add rule inet wall pass meta l4proto udp drop")

    def nat(self) -> None:
        """The router has PUBLIC, one address for each that the server has: 1:1, every port."""
        for family, public, inside in zip(("ip", "ip6"), PUBLIC, SERVER, strict=True):
            self._nft(f"add table {family} nat")
            self._nft(f"add chain {family} nat in {{ type nat hook prerouting priority -100; }}")
            self._nft(f"add rule {family} nat in {family} daddr {public} dnat to {inside}")

    def build(self) -> None:
        """Raises CalledProcessError."""
        for namespace in (self._client, self._router, self._server):
            _ip("netns", "add", namespace)
            _ip("-n", namespace, "link", "set", "lo", "up")
        self._connect(self._client, CLIENT, ("10.77.0.1", "fd77::1"))
        self._connect(self._server, SERVER, ("10.77.1.1", "fd77:1::1"))
        for address, length in zip(SECOND, ("24", "64"), strict=True):
            self._address(self._server, "net", address, length)
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            _ip("netns", "exec", self._router, "sysctl", "-qw", f"{key}=1")

    def _connect(self, namespace: str, ours: tuple[str, str], routers: tuple[str, str]) -> None:
        port = namespace[-1]
        ends = ["netns", namespace, "type", "veth", "peer", "name", port, "netns", self._router]
        _ip("link", "add", "net", *ends)
        for own, far, length in zip(ours, routers, ("24", "64"), strict=True):
            self._address(namespace, "net", own, length)
            self._address(self._router, port, far, length)
        _ip("-n", namespace, "link", "set", "net", "up")
        _ip("-n", self._router, "link", "set", port, "up")
        for far, own in zip(routers, ours, strict=True):
            _ip("-n", namespace, "route", "add", "default", "via", far, "src", own)

    def _address(self, namespace: str, device: str, address: str, length: str) -> None:
        extra = ("nodad",) if ":" in address else ()
        _ip("-n", namespace, "addr", "add", f"{address}/{length}", "dev", device, *extra)

    def _nft(self, command: str) -> None:
        _ip("netns", "exec", self._router, "nft", command)

    def close(self) -> None:
        """Its processes must have ended."""
        for namespace in (self._client, self._router, self._server):
            subprocess.run(["ip", "netns", "del", namespace], check=False, capture_output=True)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], check=False, capture_output=True, text=True)
    assert not done.returncode, f"ip {' '.join(arguments)}: {done.stderr}"


@contextmanager
def small_internet() -> Iterator[Net]:
    """Skips where namespaces cannot be made."""
    if os.geteuid() or not all(map(shutil.which, _NEEDED)):
        pytest.skip(f"needs root, {' and '.join(_NEEDED)}")
    net = Net(f"tandem-{os.getpid()}-{next(_NUMBERS)}")
    try:
        net.build()
        yield net
    finally:
        net.close()
