r"""Three network namespaces: clients and Redis in one, and two hosts that can have the same address.

    clients 10.205.0.1, a crowd of them 10.206.0.0/16, Redis 10.204.0.1 --- 10.201.0.1 | 10.201.0.2 host 1
                                                                        \-- 10.202.0.1 | 10.202.0.2 host 2

Both hosts have the address 10.203.0.1 on their loopback device, as behind a router that announces it for
one of them at a time (VRRP, BGP). `give` moves it. Needs root and iproute2; removed behind you.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

ADDRESS: Final = "10.203.0.1"
"""The one that moves."""
REDIS: Final = "10.204.0.1"
CLIENTS: Final = "10.205.0.1"
CROWD: Final = "10.206.0.0/16"
"""Clients that have an address each, without anybody's saying so for each."""


class Net:
    """The namespaces."""

    def __init__(self, name: str) -> None:
        self._name = name

    def command(self, place: str, command: Sequence[str]) -> list[str]:
        """That command, in a place: `clients`, `host1` or `host2`."""
        return ["ip", "netns", "exec", f"{self._name}-{place}", *command]

    def give(self, host: int) -> None:
        """From now on the address is that host's."""
        # Clients keep their address, whichever way they go.
        way = ("via", host_address(host), "src", CLIENTS)
        self._ip("clients", "route", "replace", f"{ADDRESS}/32", *way)

    def processes(self, place: str) -> list[int]:
        """All that run there."""
        command = ["ip", "netns", "pids", f"{self._name}-{place}"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return [int(pid) for pid in done.stdout.split()]

    def _ip(self, place: str, *words: str) -> None:
        _run("ip", "-n", f"{self._name}-{place}", *words)

    def _build(self) -> None:
        for place in ("clients", "host1", "host2"):
            _run("ip", "netns", "add", f"{self._name}-{place}")
            self._ip(place, "link", "set", "lo", "up")
        settings = ("ip_forward=1", "conf.all.rp_filter=0", "conf.default.rp_filter=0")
        values = [f"net.ipv4.{setting}" for setting in settings]
        _run(*self.command("clients", ["sysctl", "-qw", *values]))
        for own in (REDIS, CLIENTS):
            self._ip("clients", "address", "add", f"{own}/32", "dev", "lo")
        self._ip("clients", "address", "add", CROWD, "dev", "lo")
        for host in (1, 2):
            place, link = f"host{host}", f"to{host}"
            peer = ("peer", "name", "uplink", "netns", f"{self._name}-{place}")
            self._ip("clients", "link", "add", link, "type", "veth", *peer)
            self._ip("clients", "address", "add", f"10.20{host}.0.1/30", "dev", link)
            self._ip("clients", "link", "set", link, "up")
            self._ip(place, "address", "add", f"{host_address(host)}/30", "dev", "uplink")
            self._ip(place, "address", "add", f"{ADDRESS}/32", "dev", "lo")
            self._ip(place, "link", "set", "uplink", "up")
            self._ip(place, "route", "add", "default", "via", f"10.20{host}.0.1")

    def _remove(self) -> None:
        for place in ("clients", "host1", "host2"):
            with suppress(subprocess.CalledProcessError):
                _run("ip", "netns", "delete", f"{self._name}-{place}")


def host_address(host: int) -> str:
    """Of a host alone."""
    return f"10.20{host}.0.2"


def possible() -> bool:
    """We may make namespaces."""
    try:
        return (
            os.geteuid() == 0
            and subprocess.run(["ip", "-V"], check=False, capture_output=True).returncode == 0
        )
    except OSError:
        return False


@contextmanager
def net() -> Iterator[Net]:
    """The namespaces; the address is host 1's."""
    made = Net(f"tandem-{os.getpid()}")
    try:
        made._build()
        made.give(1)
        yield made
    finally:
        made._remove()


def _run(*command: str, **options: Any) -> None:
    subprocess.run(command, check=True, capture_output=True, **options)
