"""Metrics of a whole appliance under calls: they are there, they add up, and nobody depends on them."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import httpx
import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from ipc.messages.admin import StatusReply
from tests.support.appliance import free_tcp_port, running_appliance
from tests.support.live_calls import CALLS, live_calls
from tests.support.promtool import promtool

pytestmark = pytest.mark.process

Samples = dict[str, dict[tuple[str, ...], float]]


def get(url: str) -> httpx.Response:
    return httpx.get(url, timeout=30, trust_env=False)


async def scrape(port: int) -> Samples:
    answer = await trio.to_thread.run_sync(get, f"http://127.0.0.1:{port}/metrics")
    assert answer.status_code == 200
    found: Samples = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def total(samples: Samples, name: str) -> float:
    return sum(samples.get(name, {}).values())


async def test_counters_of_calls_balance(tmp_path: Path) -> None:
    port = free_tcp_port()
    async with running_appliance(tmp_path, {"ops": {"listen": [f"127.0.0.1:{port}"]}}) as appliance:
        assert (await appliance.status()).ops == f"http://127.0.0.1:{port}/"
        async with live_calls(appliance) as calls:
            with trio.fail_after(60):
                # A first report of a client comes after a second or so, ours as well.
                while (
                    total(live := await scrape(port), "tandem_sessions_connected") < CALLS
                    or total(live, "tandem_session_round_trip_seconds_count") < CALLS
                    or total(live, "tandem_audio_received_jitter_seconds_count") < CALLS
                ):
                    await trio.sleep(0.1)
            assert live["tandem_supervisor_up"] == {(): 1}
            assert live["tandem_state"]["ready",] == 1
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"\x3fnothing that we know", appliance.relay)

        def settled(found: Samples) -> bool:
            """All workers have published what came last."""
            reasons = found.get("tandem_relay_refused_total", {})
            return (
                total(found, "tandem_sessions") == 0
                and total(found, "tandem_sessions_closed_total") == CALLS
                and sum(reasons.values()) > 0
            )

        with trio.fail_after(60):
            while not settled(after := await scrape(port)):
                await trio.sleep(0.1)
        received = total(after, "tandem_relay_received_datagrams_total")
        dropped = total(after, "tandem_relay_dropped_datagrams_total")
        forwarded = total(after, "tandem_relay_forwarded_datagrams_total")
        assert (
            received == forwarded + total(after, "tandem_relay_upcalled_datagrams_total") + dropped
        )
        assert set(after["tandem_relay_conserved"].values()) == {1}
        assert total(after, "tandem_sessions_created_total") == CALLS
        # Each frame of a caller is counted, and comes back by the echo.
        spoken = calls.report["packets_sent"]
        assert total(after, "tandem_audio_received_frames_total") == spoken
        assert total(after, "tandem_audio_sent_frames_total") == spoken
        assert total(after, "tandem_session_round_trip_seconds_count") >= CALLS
        assert total(after, "tandem_audio_received_jitter_seconds_count") >= CALLS
        assert total(after, "tandem_audio_sent_lost_packets_total") == 0
        workers = {row.name for row in (await appliance.status()).workers}
        assert {labels[0] for labels in after["tandem_process_cpu_seconds_total"]} == {
            *workers, "supervisor",
        }  # fmt: skip

        text = (await trio.to_thread.run_sync(get, f"http://127.0.0.1:{port}/metrics")).text
        checked = promtool("check", "metrics", given=text)
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")

        past = (await trio.to_thread.run_sync(get, f"http://127.0.0.1:{port}/data.json")).json()
        assert max(past["samples"]["sessions"]) == CALLS
        assert max(past["samples"]["received"]) > 0


async def test_a_replaced_worker_counts_from_zero_and_says_that_it_was(tmp_path: Path) -> None:
    port = free_tcp_port()
    async with running_appliance(tmp_path, {"ops": {"listen": [f"127.0.0.1:{port}"]}}) as appliance:
        pid = (await appliance.worker("relay-0")).pid
        os.kill(pid, signal.SIGKILL)
        restarts: Samples = {}
        with trio.fail_after(60):
            while not total(restarts, "tandem_worker_restarts_total") or not restarts.get(
                "tandem_relay_conserved"
            ):
                restarts = await scrape(port)
                await trio.sleep(0.1)
        assert restarts["tandem_worker_restarts_total"]["relay-0", "relay"] == 1
        assert restarts["tandem_relay_conserved"] == {("relay-0",): 1}


async def test_telemetry_is_replaced_and_nobody_else_is_the_worse_for_it(tmp_path: Path) -> None:
    port = free_tcp_port()
    async with running_appliance(tmp_path, {"ops": {"listen": [f"127.0.0.1:{port}"]}}) as appliance:
        states: set[str] = set()

        def again(status: StatusReply) -> bool:
            states.add(status.state)
            row = next(w for w in status.workers if w.name == "telemetry-0")
            return row.pid not in (0, pid) and row.state == "ready"

        pid = (await appliance.until(lambda s: again_ready(s))).workers[-1].pid
        os.kill(pid, signal.SIGKILL)
        await appliance.until(again)
        assert states == {"ready"}
        assert (await scrape(port))["tandem_supervisor_up"] == {(): 1}


def again_ready(status: StatusReply) -> bool:
    return all(worker.state == "ready" for worker in status.workers)


async def test_a_port_that_is_taken_costs_the_page_and_nothing_else(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with running_appliance(tmp_path, {"ops": {"listen": [address]}}) as appliance:
            status = await appliance.until(lambda s: bool(s.workers[-1].note))
            assert status.state == "ready"
            assert f"ops.listen[0]: {address} cannot be bound" in status.workers[-1].note
            async with live_calls(appliance, count=1) as calls:
                pass
            assert calls.report["sessions_ok"] == 1


async def test_without_a_supervisor_it_says_so(tmp_path: Path) -> None:
    port = free_tcp_port()
    async with running_appliance(tmp_path, {"ops": {"listen": [f"127.0.0.1:{port}"]}}) as appliance:
        await appliance.until(again_ready)
        appliance.signal(signal.SIGSTOP)
        try:
            with trio.fail_after(60):
                while (await scrape(port)) != {"tandem_supervisor_up": {(): 0}}:
                    await trio.sleep(0.1)
            answer = await trio.to_thread.run_sync(get, f"http://127.0.0.1:{port}/readyz")
            assert answer.status_code == 503
            assert "supervisor" in json.loads(answer.text)["detail"]
        finally:
            appliance.signal(signal.SIGCONT)
        await appliance.until(lambda s: s.state == "ready")
        with trio.fail_after(60):
            while (await scrape(port))["tandem_supervisor_up"] != {(): 1}:
                await trio.sleep(0.1)
