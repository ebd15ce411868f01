"""Several appliances that are a fleet: each a host of its own on an address of loopback."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from ipc.messages.admin import StatusReply
from ipc.messages.stats import FleetStats, RelayStats
from tests.support.appliance import Appliance, free_udp_port, running_appliance

SERVES: Final = frozenset({"ready", "degraded"})
KEY: Final = "00112233445566778899aabbccddeeff"


class Site:
    """What the hosts of a fleet have in common."""

    def __init__(self, directory: Path) -> None:
        self._key = directory / "ufrag.hex"
        self._key.write_text(KEY)
        self._key.chmod(0o600)
        self.port = _free_row(4)
        """Of relays; the next ones are the peers', the doors' and the ingress'."""

    def config(self, number: int, **more: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Overrides for the host 127.0.0.<number>."""
        config: dict[str, dict[str, Any]] = {
            "link": {"address": address(number)},
            "ufrag": {"keys": {"a": str(self._key)}},
            "relay": {"listen": [self.relay(number)]},
        }
        for table, values in more.items():
            config.setdefault(table, {}).update(values)
        return config

    def peers(self, number: int, *others: int, first_id: int = 0) -> dict[str, dict[str, Any]]:
        """Overrides for a host that knows these without Redis."""
        port = self.port + 1
        return {
            "fleet": {
                "listen": [f"{address(number)}:{port}"],
                "peers": [f"{address(other)}:{port}" for other in others],
            },
            "transceiver": {"first_id": first_id},
        }

    def relay(self, number: int) -> str:
        """Where clients reach that one's relay."""
        return f"{address(number)}:{self.port}"

    def calls(self, number: int) -> str:
        """Where other hosts place calls on that one."""
        return f"{address(number)}:{self.port + 2}"

    def ingress(self, number: int) -> str:
        """Where that one's relays take clients from Global Relays."""
        return f"{address(number)}:{self.port + 3}"

    @asynccontextmanager
    async def host(
        self, number: int, directory: Path, **more: Mapping[str, Any]
    ) -> AsyncIterator[Appliance]:
        """A host that is ready; its directory is made."""
        directory.mkdir(exist_ok=True)
        async with running_appliance(directory, self.config(number, **more)) as appliance:
            yield appliance

    @asynccontextmanager
    async def alone(
        self, number: int, directory: Path, **more: Mapping[str, Any]
    ) -> AsyncIterator[Appliance]:
        """A host that serves, be it degraded because it lacks another; its directory is made."""
        directory.mkdir(exist_ok=True)
        config = self.config(number, **more)
        async with running_appliance(directory, config, serves=SERVES) as appliance:
            yield appliance


def _free_row(count: int) -> int:
    """The first of so many ports in a row that were free a moment ago, for UDP and TCP, everywhere."""
    while True:
        first = free_udp_port()
        with ExitStack() as stack, suppress(OSError):
            for port in range(first, first + count):
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                    stack.enter_context(socket.socket(type=kind)).bind(("0.0.0.0", port))
            return first


def address(number: int) -> str:
    """127.0.0.<number>."""
    return f"127.0.0.{number}"


def fleet_stats(status: StatusReply) -> FleetStats:
    """Of the fleet worker; fails with LookupError as long as there are none."""
    found = [w.stats for w in status.workers if isinstance(w.stats, FleetStats)]
    return found[0]


def relay_stats(status: StatusReply) -> list[RelayStats]:
    """Of all relays."""
    return [w.stats for w in status.workers if isinstance(w.stats, RelayStats)]


def knows(hosts: int) -> Any:
    """A condition on a status: so many other hosts are known and fresh."""
    return lambda status: fleet_stats(status).fresh == hosts == fleet_stats(status).hosts
