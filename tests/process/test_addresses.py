"""Which addresses are spoken from and to: hosts with several of both families, and 1:1 NAT."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from tests.support.appliance import TREE, Appliance, running_appliance
from tests.support.child import child
from tests.support.live_calls import LONG
from tests.support.namespaces import CLIENT, PUBLIC, SECOND, SERVER, Net, small_internet

pytestmark = pytest.mark.process

PORT: Final = 3478
OPTIONS: Final = ("--json", "--timeout", "30")


@pytest.fixture
def net() -> Iterator[Net]:
    with small_internet() as made:
        yield made


def config(**relay: Any) -> Mapping[str, Mapping[str, Any]]:
    listen = [f"0.0.0.0:{PORT}", f"[::]:{PORT}"]
    return {
        "relay": {"listen": listen, **relay},
        "signaling": {"listen": ["0.0.0.0:8080", "[::]:8080"], "anonymous": True},
    }


def endpoint(host: str) -> str:
    return f"[{host}]:{PORT}" if ":" in host else f"{host}:{PORT}"


def calling(net: Net, host: str, seconds: float, *options: str) -> list[str]:
    """A call from the client's namespace."""
    url = f"http://{endpoint(host).rpartition(':')[0]}:8080/whip/echo"
    command = [*net.client, sys.executable, "-m", "workers.caller", url, *OPTIONS, *options]
    return [*command, "--seconds", str(seconds)]


async def call(net: Net, host: str, *options: str) -> dict[str, Any]:
    """A short one, and its report."""
    done = await trio.run_process(
        calling(net, host, 0.5, *options), capture_stdout=True, check=False, cwd=TREE
    )
    fields = json.loads(done.stdout)
    assert isinstance(fields, dict)
    return fields


async def path_of_a_call(net: Net, appliance: Appliance, host: str, *options: str) -> str:
    """The path that the only session there is has, as the transceiver knows it."""
    command, paths, echoed = calling(net, host, LONG, *options), set[str](), 0
    async with child(command, stdout=subprocess.PIPE, cwd=TREE) as process:
        with trio.fail_after(60):
            while not paths or echoed < 10:
                for row in (await appliance.sessions()).rows:
                    paths |= {row.path} - {""}
                    echoed = row.packets_out
                await trio.sleep(0.02)
        process.terminate()
        assert process.stdout is not None
        fields = json.loads(b"".join([piece async for piece in process.stdout]))
        await process.wait()
    assert (fields["sessions_ok"], fields["packets_lost"]) == (1, 0), fields["errors"]
    with trio.fail_after(60):
        while (await appliance.sessions()).rows:
            await trio.sleep(0.02)
    (path,) = paths
    return path


@pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("addresses", [SERVER, SECOND], ids=["first", "second"])
async def test_replies_leave_from_the_address_that_the_client_used(
    net: Net, tmp_path: Path, addresses: tuple[str, str], family: int
) -> None:
    used = addresses[family]
    overrides = config(advertise=[endpoint(used)])
    async with running_appliance(tmp_path, overrides, prefix=net.server) as appliance:
        status = await appliance.status()
        hosts = {each.host for each in status.listen}
        assert hosts == {"127.0.0.1", "::1", *SERVER, *SECOND}
        for transport in ("udp", "tcp"):
            options = ("--tcp",) if transport == "tcp" else ()
            path = await path_of_a_call(net, appliance, SERVER[family], *options)
            client, _, local = path.partition(">")
            # The session's paths are where packets go, and the client's address is the client's.
            assert local == f"{endpoint(used)}/{transport}"
            assert client.rpartition(":")[0].strip("[]") == CLIENT[family]


@pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])
async def test_behind_one_to_one_nat_clients_reach_what_is_advertised(
    net: Net, tmp_path: Path, family: int
) -> None:
    net.nat()
    overrides = config(advertise=[endpoint(host) for host in PUBLIC])
    async with running_appliance(tmp_path, overrides, prefix=net.server) as appliance:
        status = await appliance.status()
        assert [each.host for each in status.advertise] == list(PUBLIC)
        assert status.advertise_tcp == status.advertise
        for transport in ("udp", "tcp"):
            options = ("--tcp",) if transport == "tcp" else ()
            path = await path_of_a_call(net, appliance, PUBLIC[family], *options)
            # Flows are told apart by where the packets arrive.
            assert path.endswith(f"/{transport}")
            assert path.partition(">")[2].rpartition(":")[0].strip("[]") in SERVER


async def test_where_udp_is_blocked_tcp_is_not(net: Net, tmp_path: Path) -> None:
    net.block_udp()
    async with running_appliance(tmp_path, config(), prefix=net.server):
        fields = await call(net, SERVER[0], "--timeout", "2")
        assert fields["sessions_ok"] == 0
        fields = await call(net, SERVER[0], "--tcp", "--count", "5")
        assert (fields["sessions_ok"], fields["packets_lost"]) == (5, 0), fields["errors"]
