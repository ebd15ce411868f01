"""Two hosts: each on an address of its own, with its own supervisor, sockets and state."""

from __future__ import annotations

import os
import re
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from config.ids import ClusterId, HostId
from config.redis_url import parse_redis_url
from tests.process.test_roll import tandem
from tests.support.appliance import Appliance, restart_appliance
from tests.support.hosts import Site, address, fleet_stats, knows, relay_stats
from tests.support.live_calls import CALLS, live_calls
from tests.support.redis_server import RedisServer, needs_redis, redis_server
from tests.support.services import offer
from workers.fleet.core.lease import Lease
from workers.fleet.redis import StoreFailed, open_store

pytestmark = pytest.mark.process
CANDIDATE = re.compile(r"^a=candidate:\S+ 1 UDP \d+ (\S+)", re.MULTILINE | re.IGNORECASE)


async def test_hosts_that_know_each_other_without_redis(tmp_path: Path) -> None:
    """A relay of one serves sessions of the other's transceiver."""
    site = Site(tmp_path)
    # The second host tells clients to come to the first one's relay.
    first = site.peers(2, 3) | {"relay": {"workers": 1}}
    second = site.peers(3, 2, first_id=50) | {
        "relay": {"advertise": site.config(2)["relay"]["listen"]}
    }
    async with (
        site.host(2, tmp_path / "a", **first) as a,
        site.host(3, tmp_path / "b", **second) as b,
    ):
        await a.until(knows(1))
        await b.until(knows(1))
        async with live_calls(b, 3.0) as calls:
            rows = (await b.sessions()).rows
            assert len(rows) == 3
            assert not (await a.sessions()).rows
        assert calls.report["sessions_ok"] == 3, f"{calls.report}\n{a.log()}\n{b.log()}"
        assert calls.report["packets_lost"] == 0
        await a.until(lambda s: sum(stats.forwarded for stats in relay_stats(s)) > 100)
        assert all(stats.conserved for stats in relay_stats(await a.status()))


async def test_a_host_is_missed_when_it_is_gone_and_comes_back_as_another_boot(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    async with site.host(2, tmp_path / "a", **site.peers(2, 3)) as a:
        async with site.host(3, tmp_path / "b", **site.peers(3, 2, first_id=50)):
            await a.until(knows(1))
            pid = (await a.worker("fleet-0")).pid
            os.kill(pid, signal.SIGKILL)  # what was known outlives whoever knew it
            await a.until(lambda s: all(w.pid != pid for w in s.workers) and knows(1)(s))
        await a.until(lambda s: fleet_stats(s).fresh == 0)
        await a.until(knows(0))


@needs_redis
async def test_hosts_find_each_other_by_redis_and_get_different_numbers(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with redis_server() as redis:
        await redis.start()
        shared: dict[str, dict[str, Any]] = {
            "redis": {"url": redis.url},
        }
        async with (
            site.host(2, tmp_path / "a", **shared) as a,
            site.host(3, tmp_path / "b", **shared) as b,
        ):
            for host in (a, b):
                status = await host.until(knows(1))
                assert fleet_stats(status).redis.startswith("reached")
            numbers = [
                route
                for directory in (a.directory, b.directory)
                for route in (directory / "state" / "numbers").read_text().split('"')
                if "[" in route
            ]
            assert sorted(numbers) == [": [0, 1, 2, 3, 4, 5], ", ": [6, 7, 8, 9, 10, 11], "]


@needs_redis
async def test_a_call_costs_redis_two_commands_and_a_host_its_beats(tmp_path: Path) -> None:
    """Three is the most: one more if its relay dies. What is counted is Redis's own account."""
    with redis_server() as redis:
        await redis.start()
        shared = {"redis": {"url": redis.url}}
        async with Site(tmp_path).host(2, tmp_path / "a", **shared) as host:
            async with live_calls(host, 3.0) as calls:
                pass
            assert calls.report["sessions_ok"] == CALLS, f"{calls.report}\n{host.log()}"
            await host.until(lambda s: fleet_stats(s).cache.get("forgotten", 0) >= CALLS)
            spent = commands(redis)
    # A check that comes again while the first word is on its way changes nothing: it is not written twice.
    assert spent.pop("set") == spent.pop("del") == CALLS
    beats = {"hset", "hgetall", "hmget", "sadd", "eval", "hget", "time"}
    assert set(spent) - {"ping", "info", "hello", "expire"} <= beats


def commands(redis: RedisServer) -> dict[str, int]:
    """What Redis has been told so far, by command."""
    lines = redis.ask("INFO", "commandstats").decode().split("\r\n")
    found = (line.removeprefix("cmdstat_").split(":calls=") for line in lines if ":calls=" in line)
    return {name: int(rest.partition(",")[0]) for name, rest in found}


@needs_redis
async def test_no_number_is_given_twice_when_many_hosts_come_at_once(tmp_path: Path) -> None:
    """The registry itself, by as many as come to it at the same moment, after it has lost everything."""
    with redis_server() as redis:
        await redis.start()
        given: dict[int, list[int]] = {}

        async def come(number: int) -> None:
            own = HostId(f"{number:016x}")
            lease = Lease(0)
            lease.want(6, (), trio.current_time())
            while number not in given:
                # A store that has failed, on a busy machine, is over: like the registry, open another.
                with suppress(StoreFailed):
                    async with open_store(parse_redis_url(redis.url), "", "t") as store:
                        while number not in given:
                            request = lease.request(trio.current_time())
                            if request is None:
                                await trio.sleep(0.1)
                                continue
                            reply = await store.lease(ClusterId(1), own, request)
                            if ids := lease.granted(reply, trio.current_time()):
                                given[number] = list(ids)

        with trio.fail_after(120):
            async with trio.open_nursery() as nursery:
                for number in range(12):
                    nursery.start_soon(come, number)
        numbers = [number for ids in given.values() for number in ids]
        assert sorted(numbers) == list(range(72))


async def test_a_supervisor_that_is_replaced_costs_no_call_of_another_host(tmp_path: Path) -> None:
    site = Site(tmp_path)
    second = site.peers(3, 2, first_id=50) | {
        "relay": {"advertise": site.config(2)["relay"]["listen"]}
    }
    async with (
        site.host(2, tmp_path / "a", **site.peers(2, 3)) as a,
        site.host(3, tmp_path / "b", **second) as b,
    ):
        await a.until(knows(1))
        await b.until(knows(1))
        async with live_calls(b) as calls:
            a.process.kill()
            a.process.wait()
            again = restart_appliance(a.directory, a.relay)
            await again.until(lambda s: s.state == "ready" and knows(1)(s))
            (stats,) = relay_stats(await again.status())
            assert stats.flows == CALLS
        await again.end()
        assert calls.report["sessions_ok"] == CALLS, f"{calls.report}\n{again.log()}"
        assert calls.report["packets_lost"] == 0


@needs_redis
async def test_answers_name_sites_by_what_the_fleet_knows_of_their_hosts(tmp_path: Path) -> None:
    site = Site(tmp_path)
    sites = [{"name": f"site {n}", "addresses": [site.relay(n)]} for n in (3, 4)]
    steering = {"steering": {"sites": sites, "sites_per_answer": 1}}
    with redis_server() as redis:
        await redis.start()
        shared: dict[str, dict[str, Any]] = {"redis": {"url": redis.url}}
        async with (
            site.host(2, tmp_path / "a", **shared, **steering) as a,
            site.host(3, tmp_path / "b", **shared) as b,
            site.host(4, tmp_path / "c", **shared),
        ):
            await a.until(knows(2))
            await names(a, 3)
            assert (await tandem(b, "drain"))[0] == 0
            await names(a, 4)
            assert (await tandem(b, "undrain"))[0] == 0
            await names(a, 3)
            teller = (await b.worker("fleet-0")).pid
            b.process.kill()
            os.kill(teller, signal.SIGKILL)  # or it would go on telling that its host lives
            await names(a, 4)


async def names(appliance: Appliance, number: int) -> None:
    """Wait until its answers name the relay of that host, and no other."""
    with trio.fail_after(60):
        while set(CANDIDATE.findall((await offer(appliance)).text)) != {address(number)}:
            await trio.sleep(0.1)
