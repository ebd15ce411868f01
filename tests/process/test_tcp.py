"""ICE-TCP through a whole appliance: calls whose network lets no UDP through."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import trio

from config.ids import Endpoint
from ipc.messages.admin import StatusReply
from ipc.messages.stats import RelayStats, SignalingStats, TcpStats
from tests.interop.test_chromium import of
from tests.process.test_adoption import kill, successor
from tests.process.test_call import idle, measured
from tests.process.test_resize import relays
from tests.process.test_roll import tandem
from tests.support.appliance import Appliance, running_appliance
from tests.support.live_calls import CALLS, live_calls
from workers.relay.core.connections import STRANGERS_PER_SOURCE

pytestmark = pytest.mark.process


def relay_stats(status: StatusReply) -> list[RelayStats]:
    return [w.stats for w in status.workers if isinstance(w.stats, RelayStats)]


def over_tcp(status: StatusReply) -> list[TcpStats]:
    return [stats.tcp for stats in relay_stats(status) if stats.tcp is not None]


def flows_since(status: StatusReply, since: float) -> int:
    """Of relays, over TCP, by what they have said after that."""
    return sum(s.tcp.flows for s in relay_stats(status) if s.tcp and s.usage.at > since)


async def test_calls_over_tcp_lose_nothing_and_leave_nothing(tmp_path: Path) -> None:
    async with running_appliance(tmp_path, {"relay": {"workers": 2}}) as appliance:
        url = f"{appliance.url}/v1/realtime/calls"
        fields = await measured(url, "--tcp", "--count", "20", "--seconds", "2", "--data")
        assert (fields["sessions_ok"], fields["sessions_failed"]) == (20, 0), fields["errors"]
        assert (fields["packets_sent"], fields["packets_lost"]) == (2000, 0)
        assert fields["messages_lost"] == fields["tcp_reconnects"] == 0
        await idle(appliance)

        def settled(status: StatusReply) -> bool:
            tcp = over_tcp(status)
            return sum(t.accepted for t in tcp) == 20 == sum(sum(t.ended.values()) for t in tcp)

        status = await appliance.until(settled)
        assert all(stats.conserved for stats in relay_stats(status))
        assert not sum(stats.received for stats in relay_stats(status))  # not a datagram of UDP
        assert sum(tcp.assured_total for tcp in over_tcp(status)) == 20
        assert not sum(tcp.connections for tcp in over_tcp(status))


async def test_restarts_and_moves_over_tcp(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        options = ("--tcp", "--data", "--restart", "0.5", "--move", "0.7")
        async with live_calls(appliance, options=options, path="/whip/echo") as calls:
            await appliance.until(lambda it: of(SignalingStats, it).responses.get("200", 0) >= 9)
        fields = calls.report
        assert fields["sessions_ok"] == CALLS, fields["errors"]
        assert fields["ice_restarts"] >= 9
        assert fields["messages_lost"] == 0
        await idle(appliance)


async def test_a_session_says_that_it_is_on_tcp(tmp_path: Path) -> None:
    async with (
        running_appliance(tmp_path) as appliance,
        live_calls(appliance, count=1, options=("--tcp",), path="/whip/echo") as calls,
    ):
        (row,) = (await appliance.sessions()).rows
        assert row.path.endswith(f">{appliance.relay}/tcp")
        calls.hang_up()


async def test_without_tcp_nothing_listens_and_answers_say_nothing(tmp_path: Path) -> None:
    async with running_appliance(tmp_path, {"relay": {"tcp": False}}) as appliance:
        status = await appliance.status()
        assert status.advertise_tcp == ()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(appliance.relay, 10)
        fields = await measured(f"{appliance.url}/whip/echo", "--tcp")
        assert [error["error"] for error in fields["errors"]] == ["the answer has no candidate"]
        assert (await measured(f"{appliance.url}/whip/echo"))["sessions_ok"] == 1


async def test_a_worker_that_dies_costs_a_reconnect(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        async with live_calls(appliance, count=5, options=("--tcp",)) as calls:
            await talking(appliance, 5)
            relay = await appliance.worker("relay-0")
            assert relay.pid
            os.kill(relay.pid, signal.SIGKILL)
            died = time.monotonic()
            status = await appliance.until(lambda it: flows_since(it, died) == 5)
            back = relay_stats(status)[0].usage.at
        fields = calls.report
    assert (fields["sessions_ok"], fields["tcp_reconnects"]) == (5, 5), fields
    # What was said until all had a connection and a check, and what was on its way.
    assert fields["packets_lost"] < 5 * 50 * (back - died + 1), fields


@pytest.mark.parametrize("datapath", ["native", "python"])
async def test_a_worker_that_is_replaced_costs_nothing(tmp_path: Path, datapath: str) -> None:
    """Its successor has its connections, and hands them on in its turn."""
    overrides = {"relay": {"datapath": datapath}}
    async with running_appliance(tmp_path, overrides) as appliance:
        async with live_calls(appliance, count=5, options=("--tcp", "--data")) as calls:
            await talking(appliance, 5)
            for _ in range(3):
                code, reply = await tandem(appliance, "reload", "--roll")
                assert (code, reply["replaced"][0]) == (0, "relay-0"), reply
            status = await appliance.until(
                lambda status: [(t.taken, t.connections) for t in over_tcp(status)] == [(5, 5)]
            )
            assert over_tcp(status)[0].accepted == 0
            assert all(stats.conserved for stats in relay_stats(status))
            calls.hang_up()
        report, said = calls.report, appliance.log()
        assert report["sessions_ok"] == 5, f"{report}\n{said}"
        assert report["packets_lost"] == report["messages_lost"] == 0, f"{report}\n{said}"
        assert report["tcp_reconnects"] == 0, f"{report}\n{said}"
        await idle(appliance)
        status = await appliance.until(lambda s: not sum(t.connections for t in over_tcp(s)))
        assert sum(over_tcp(status)[0].ended.values()) == 5


async def talking(appliance: Appliance, count: int) -> None:
    """So many calls have media."""
    while True:
        rows = (await appliance.sessions()).rows
        if len([row for row in rows if row.packets_in > 10]) == count:
            return
        await trio.sleep(0.02)


async def test_another_number_of_relays_costs_at_most_a_reconnect(tmp_path: Path) -> None:
    overrides = {"transceiver": {"consent_timeout": 8}}
    async with running_appliance(tmp_path, overrides) as appliance:
        code, _ = await relays(appliance, 2)
        assert code == 0
        async with live_calls(appliance, count=8, options=("--tcp",)) as calls:
            await talking(appliance, 8)
            code, _ = await relays(appliance, 1)
            assert code == 0
            url = f"{appliance.url}/v1/realtime/calls"
            late = await measured(url, "--tcp", "--count", "4", "--seconds", "1")
            assert late["sessions_ok"] == 4, late["errors"]
        fields = calls.report
    assert fields["sessions_ok"] == 8, fields
    assert fields["tcp_reconnects"] <= 8


async def test_thousands_of_idle_strangers_are_bounded_and_hurt_nobody(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        before = await appliance.until(lambda status: bool(relay_stats(status)))
        resident = relay_stats(before)[0].usage.rss_bytes
        url, fields = f"{appliance.url}/v1/realtime/calls", {}

        async def call() -> None:
            for over in ("--tcp", ""):
                options = ("--count", "5", "--seconds", "2", *([over] if over else []))
                fields[over] = await measured(url, *options)

        with ExitStack() as stack:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(call)
                await trio.to_thread.run_sync(crowd, stack, appliance.relay, 12, 250)
            status = await appliance.until(
                lambda status: sum(t.accepted for t in over_tcp(status)) >= 3000
            )
            grown = max(stats.usage.rss_bytes for stats in relay_stats(status)) - resident
            assert grown < 24 << 20
            status = await appliance.until(
                lambda status: not sum(t.connections for t in over_tcp(status))
            )
        (tcp,) = over_tcp(status)
        assert tcp.ended["not_vouched"] + tcp.ended.get("crowded_out", 0) == 3000
        assert relay_stats(status)[0].conserved
    for over in ("--tcp", ""):
        assert (fields[over]["sessions_ok"], fields[over]["packets_lost"]) == (5, 0), fields[over]


def crowd(stack: ExitStack, to: Endpoint, sources: int, each: int) -> None:
    """Connections of several addresses that say nothing, or something that is no frame of a check."""
    assert each < STRANGERS_PER_SOURCE
    for number in range(each):
        for source in range(2, 2 + sources):
            sock = stack.enter_context(socket.socket())
            sock.settimeout(20)
            sock.bind((f"127.0.0.{source}", 0))
            sock.connect(to)
            if number % 3:
                sock.send((b"\x00\x04\xffabc", b"\x07")[number % 2])


async def test_connections_outlive_their_supervisor(tmp_path: Path) -> None:
    async with running_appliance(tmp_path, {"relay": {"workers": 2}}) as appliance:
        before = await appliance.status()
        async with live_calls(appliance, options=("--tcp",)) as calls:
            kill(appliance)
            async with successor(appliance) as second:
                after = await second.status()
                assert after.advertise_tcp == before.advertise_tcp
                fields = await measured(f"{second.url}/whip/echo", "--tcp", "--count", "4")
                assert fields["sessions_ok"] == 4, fields["errors"]
                # A worker that was adopted leaves its connections like any other.
                code, reply = await tandem(second, "reload", "--roll")
                assert (code, reply["replaced"][:2]) == (0, ["relay-0", "relay-1"]), reply
                relay = await second.worker("relay-0")
                await calls.end(left=second)
                # What came back is handed on to successors.
                assert relay.pid
                os.kill(relay.pid, signal.SIGKILL)
                await second.until(
                    lambda s: any(
                        w.name == "relay-0" and w.pid not in (0, relay.pid) for w in s.workers
                    )
                )
                fields = await measured(f"{second.url}/whip/echo", "--tcp", "--count", "8")
                assert fields["sessions_ok"] == 8, fields["errors"]
        assert calls.report["sessions_ok"] == CALLS, f"{calls.report}\n{appliance.log()}"
        assert (calls.report["packets_lost"], calls.report["tcp_reconnects"]) == (0, 0)
