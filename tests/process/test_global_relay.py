"""A Global Relay, and a cluster behind it: callers know only the first."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from config.ids import ClusterId, Endpoint, Epoch, Route, TransceiverId
from ipc.messages.admin import StatusReply
from ipc.messages.stats import RelayStats
from tests.support import stun
from tests.support.appliance import Appliance, free_udp_port, running_appliance
from tests.support.hosts import KEY, Site, address, relay_stats
from tests.support.live_calls import CALLS, live_calls
from workers.wire.ufrag import UfragKeys

pytestmark = pytest.mark.process

CLUSTER, GLOBAL = 7, 9


def replaced(pid: int) -> Callable[[StatusReply], bool]:
    """Another process than that is the relay, and serves."""
    return lambda status: any(
        w.name == "relay-0" and w.pid not in (0, pid) and w.state == "ready" for w in status.workers
    )


@pytest.mark.parametrize("datapath", ["native", "python"])
async def test_calls_go_through_both_and_survive_a_death_on_either(
    tmp_path: Path, datapath: str
) -> None:
    key = tmp_path / "key.hex"
    key.write_text("00112233445566778899aabbccddeeff")
    key.chmod(0o600)
    ingress = str(Endpoint("127.0.0.1", free_udp_port()))
    common: dict[str, dict[str, Any]] = {
        "ufrag": {"keys": {"a": str(key)}},
        "supervisor": {"drain_timeout": 0.5},
    }
    relay = {"datapath": datapath}
    (tmp_path / "global").mkdir()
    (tmp_path / "cluster").mkdir()
    async with (
        running_appliance(
            tmp_path / "global",
            {
                "cluster": {"id": GLOBAL, "others": {str(CLUSTER): [ingress]}},
                "relay": relay,
                **common,
            },
        ) as front,
        running_appliance(
            tmp_path / "cluster",
            {
                "cluster": {"id": CLUSTER, "ingress": ingress, "global_relays": ["127.0.0.1"]},
                "relay": {**relay, "advertise": [str(front.relay)]},
                **common,
            },
        ) as behind,
    ):
        async with live_calls(behind, 4.0) as calls:
            rows = (await behind.sessions()).rows
            assert all(f">{front.relay}/udp" in row.path for row in rows)
            if datapath == "native":
                for appliance in (front, behind):
                    before = await appliance.worker("relay-0")
                    os.kill(before.pid, signal.SIGKILL)
                    await appliance.until(replaced(before.pid))
        logs = front.log() + behind.log()
        assert calls.report["sessions_ok"] == CALLS, f"{calls.report}\n{logs}"
        assert calls.report["packets_lost"] < 20 * CALLS  # a death costs some tens of milliseconds
        for appliance in (front, behind):
            stats = (await appliance.worker("relay-0")).stats
            assert isinstance(stats, RelayStats)
            assert stats.conserved
            assert stats.forwarded > 100 * CALLS


class Fleet(Site):
    """A Global Relay with the one line that makes it one, and hosts of a cluster, each of one kind."""

    def entrance(self, *relays: int, cluster: int = GLOBAL) -> dict[str, dict[str, Any]]:
        """Overrides for a Global Relay in front of those."""
        others = {str(CLUSTER): [self.ingress(number) for number in relays]}
        return {"cluster": {"id": cluster, "others": others}, "transceiver": {"workers": 0}}

    def middle(self, number: int, other: int) -> dict[str, dict[str, Any]]:
        """Overrides for a relay host of the cluster, which knows its transceiver host."""
        taken = {"ingress": self.ingress(number), "global_relays": [address(2)]}
        config = self.peers(number, other) | {"cluster": {"id": CLUSTER, **taken}}
        config["transceiver"]["workers"] = 0
        return config

    def end(self, number: int, *others: int) -> dict[str, dict[str, Any]]:
        """Overrides for the transceiver host, whose answers name the Global Relay."""
        relay = {"workers": 0, "advertise": [self.relay(2)]}
        return self.peers(number, *others) | {"cluster": {"id": CLUSTER}, "relay": relay}


def flows_of(status: StatusReply) -> int:
    """Of the host's only relay, as far as it has said so."""
    return sum(stats.flows for stats in relay_stats(status))


def end_at_once(appliance: Appliance, status: StatusReply) -> None:
    """The whole host is gone, between two instructions."""
    for pid in (appliance.pid, *(worker.pid for worker in status.workers)):
        os.kill(pid, signal.SIGKILL)


async def test_a_host_that_is_nothing_else_and_two_relays_of_which_one_dies(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    async with (
        fleet.host(2, tmp_path / "global", **fleet.entrance(3, 4)) as front,
        fleet.alone(3, tmp_path / "first", **fleet.middle(3, 5)) as first,
        fleet.alone(4, tmp_path / "second", **fleet.middle(4, 5)) as second,
        fleet.alone(5, tmp_path / "end", **fleet.end(5, 3, 4)) as end,
    ):
        assert {worker.role for worker in (await front.status()).workers} == {"relay"}
        for relay in (first, second):
            await relay.until(lambda status: status.state == "ready")
        status = await end.until(lambda status: status.state == "ready")
        end.url = status.page.rstrip("/")
        async with live_calls(end) as calls:
            flows, relays = 0, {}
            with trio.fail_after(60):  # what they say of themselves is up to a second old
                while flows < CALLS:
                    relays = {each: await each.status() for each in (first, second)}
                    flows = sum(flows_of(status) for status in relays.values())
            carries = max(relays, key=lambda each: flows_of(relays[each]))
            before = await front.worker("relay-0")
            os.kill(before.pid, signal.SIGKILL)
            await front.until(replaced(before.pid))
            (survivor,) = {first, second} - {carries}
            (stats,) = relay_stats(await survivor.status())
            end_at_once(carries, relays[carries])
            enough = stats.forwarded + 50 * CALLS
            status = await survivor.until(lambda s: relay_stats(s)[0].forwarded > enough)
        logs = "".join(each.log() for each in (front, first, second, end))
        assert calls.report["sessions_ok"] == CALLS, f"{calls.report}\n{logs}"
        assert relay_stats(status)[0].conserved  # what goes on goes by it


async def test_two_that_name_each_other_pass_nothing_on_between_them(tmp_path: Path) -> None:
    """Each takes the other's clients for those of a cluster that it is not: so it goes no further."""
    fleet = Fleet(tmp_path)
    keys = UfragKeys({"a": bytes.fromhex(KEY)}, "a")
    route = Route(ClusterId(CLUSTER), TransceiverId(1), Epoch(1))
    configs = {}
    for here, there in ((2, 3), (3, 2)):
        configs[here] = fleet.entrance(there, cluster=here)
        taken = {"ingress": fleet.ingress(here), "global_relays": [address(there)]}
        configs[here]["cluster"].update(taken)
    async with (
        fleet.host(2, tmp_path / "one", **configs[2]) as one,
        fleet.host(3, tmp_path / "other", **configs[3]) as other,
    ):
        with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as client:
            for number in range(5):
                ufrag = keys.mint(route, number.to_bytes(6, "big"))
                await client.sendto(stun.check(ufrag), tuple(Endpoint.parse(fleet.relay(2))))
        await other.until(lambda s: relay_stats(s)[0].refused.get("unknown_route") == 5)
        status = await one.until(lambda s: relay_stats(s)[0].pending == 1)
        assert "unknown_route" not in relay_stats(status)[0].refused
