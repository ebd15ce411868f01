"""Hosts say where they are, and what others do with it: nobody's file but theirs names them."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.process.test_global_relay import replaced
from tests.process.test_roll import tandem
from tests.support.appliance import Appliance
from tests.support.hosts import Site, address, fleet_stats, relay_stats
from tests.support.live_calls import CALLS, live_calls
from tests.support.redis_server import RedisServer, needs_redis, redis_server
from tests.support.services import offer

pytestmark = [pytest.mark.process, needs_redis]
CANDIDATE = re.compile(r"^a=candidate:\S+ 1 UDP \d+ (\S+)", re.MULTILINE | re.IGNORECASE)
PARIS = {"cf-iplatitude": "48.9", "cf-iplongitude": "2.35"}
NEW_YORK = {"cf-iplatitude": "40.7", "cf-iplongitude": "-74.0"}
FRANKFURT: dict[str, Any] = {"site": "frankfurt", "location": [50.1, 8.7]}
VIRGINIA: dict[str, Any] = {"site": "virginia", "location": [39.0, -77.5]}


class Fleet:
    """Hosts of several clusters that have a Redis in common."""

    def __init__(self, directory: Path, redis: RedisServer, stack: AsyncExitStack) -> None:
        self.site = Site(directory)
        self.redis = redis
        self._directory = directory
        self._redis = {"url": redis.url}
        self._stack = stack

    async def host(self, number: int, own: int, /, **more: Any) -> Appliance:
        """One more, of that cluster."""
        config = {table: dict(values) for table, values in more.items()}
        config["cluster"] = {"id": own} | config.get("cluster", {})
        config["fleet"] = {"everywhere": True} | config.get("fleet", {})
        config["signaling"] = {"trusted_proxies": ["127.0.0.1"], "anonymous": True}
        directory = self._directory / str(number)
        host = self.site.host(number, directory, redis=self._redis, **config)
        return await self._stack.enter_async_context(host)


@asynccontextmanager
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    """Nobody yet."""
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(redis_server())
        await redis.start()
        yield Fleet(tmp_path, redis, stack)


async def named(appliance: Appliance, where: dict[str, str]) -> list[str]:
    """Hosts whose relays an answer names to a client there, the best first."""
    answer = await offer(appliance, {"x-forwarded-for": "192.0.2.1"} | where)
    return list(dict.fromkeys(CANDIDATE.findall(answer.text)))


async def sessions(appliance: Appliance) -> set[str]:
    """Those of the answers that nobody has followed up."""
    return {row.session for row in (await appliance.sessions()).rows}


async def until_named(appliance: Appliance, where: dict[str, str], *hosts: int) -> None:
    """Wait until an answer names those."""
    wanted, last = [address(number) for number in hosts], list[str]()
    with trio.move_on_after(60):
        while (last := await named(appliance, where)) != wanted:
            await trio.sleep(0.1)
    assert last == wanted, appliance.log()


async def until_placed(
    appliance: Appliance, *expected: tuple[str, int, int, str], near: Sequence[str] = ()
) -> None:
    """Wait until `tandem places` shows these there: place, cluster, rank in an answer, health."""
    last: Any = None
    with trio.move_on_after(60):
        while True:
            code, last = await tandem(appliance, "places", *near)
            assert code == 0, last
            rows = last["rows"]
            shown = [(row["site"], row["cluster"], row["rank"], row["health"]) for row in rows]
            # A busy host may be late to say that it is there.
            heard = all(row["fresh"] and row["silence"] < 3 for row in rows)
            if heard and shown == list(expected):
                return
    raise AssertionError((last, appliance.log()))


async def test_a_global_relay_is_a_host_that_says_where_it_is(tmp_path: Path) -> None:
    """It comes, serves, drains, dies and has a successor; the file of the cluster's host names none."""
    alone = {"transceiver": {"workers": 0}, "fleet": FRANKFURT}
    async with fleet(tmp_path) as hosts:
        taking = {"ingress": hosts.site.ingress(2)}
        cluster = await hosts.host(2, 7, cluster=taking, fleet=VIRGINIA)
        await until_named(cluster, PARIS, 2)
        front = await hosts.host(3, 9, **alone)
        await until_named(cluster, PARIS, 3, 2)
        await until_named(cluster, NEW_YORK, 2, 3)
        others = await sessions(cluster)
        async with live_calls(cluster, 3.0) as calls:  # from nowhere: places by name
            ours = [row for row in (await cluster.sessions()).rows if row.session not in others]
            assert all(f">{hosts.site.relay(3)}/" in row.path for row in ours)
        assert calls.report["sessions_ok"] == CALLS, (
            f"{calls.report}\n{cluster.log()}\n{front.log()}"
        )
        assert calls.report["packets_lost"] == 0
        for host in (cluster, front):
            assert all(stats.conserved for stats in relay_stats(await host.status()))
        near = ["--near", f"{PARIS['cf-iplatitude']},{PARIS['cf-iplongitude']}"]
        shown = ("frankfurt", 9, 1, "well"), ("virginia", 7, 2, "well")
        await until_placed(cluster, *shown, near=near)
        await until_placed(front, ("frankfurt", 9, 0, ""), ("virginia", 7, 0, ""))
        assert (await tandem(front, "drain"))[0] == 0
        await until_named(cluster, PARIS, 2, 3)
        shown = ("virginia", 7, 1, "well"), ("frankfurt", 9, 2, "leaving")
        await until_placed(cluster, *shown, near=near)
        assert (await tandem(front, "undrain"))[0] == 0
        await until_named(cluster, PARIS, 3, 2)
        teller = (await front.worker("fleet-0")).pid
        front.process.kill()
        os.kill(teller, signal.SIGKILL)  # or it would go on telling that its host lives
        await until_named(cluster, PARIS, 2)
        await cluster.until(lambda s: fleet_stats(s).hosts == 0)
        with trio.fail_after(60):  # nobody of its cluster is left to take it out
            while hosts.redis.ask("HLEN", "tandem:{9}:beats") != b":0\r\n":
                await trio.sleep(0.1)
        await hosts.host(4, 9, **alone)
        await until_named(cluster, PARIS, 4, 2)
        async with live_calls(cluster, 3.0) as calls:
            pass
        assert calls.report["sessions_ok"] == CALLS, f"{calls.report}\n{cluster.log()}"


async def test_a_relay_that_forwards_to_what_was_announced_has_a_successor(tmp_path: Path) -> None:
    """It knows from its flows where other clusters are, until it is told."""
    async with fleet(tmp_path) as hosts:
        taking = {"ingress": hosts.site.ingress(2)}
        cluster = await hosts.host(2, 7, cluster=taking, fleet=VIRGINIA)
        front = await hosts.host(3, 9, transceiver={"workers": 0}, fleet=FRANKFURT)
        await until_named(cluster, PARIS, 3, 2)
        async with live_calls(cluster) as calls:
            for host in (front, cluster):
                before = await host.worker("relay-0")
                os.kill(before.pid, signal.SIGKILL)
                await host.until(replaced(before.pid))
        assert calls.report["sessions_ok"] == CALLS, (
            f"{calls.report}\n{cluster.log()}\n{front.log()}"
        )
        assert calls.report["packets_lost"] < 20 * CALLS


async def test_a_call_is_placed_on_the_host_that_is_nearest_to_its_client(tmp_path: Path) -> None:
    async with fleet(tmp_path) as hosts:
        here, there = (
            {"calls": hosts.site.calls(2), "nearest": True, "location": VIRGINIA["location"]},
            {"calls": hosts.site.calls(3), "location": FRANKFURT["location"]},
        )
        a = await hosts.host(2, 7, fleet=here)
        await until_named(a, PARIS, 2)
        b = await hosts.host(3, 8, fleet=there)
        await until_named(a, PARIS, 3)
        assert await named(a, NEW_YORK) == [address(2)]
        assert (await tandem(b, "drain"))[0] == 0
        await until_named(a, PARIS, 2)
        assert fleet_stats(await a.status()).hosts == 1
