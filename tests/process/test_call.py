"""`tandem call` against a real appliance, as an operator probes one."""

from __future__ import annotations

import json
import subprocess
import sys
import wave
from array import array
from pathlib import Path
from typing import Any

import pytest
import trio

from config.model import MediaChoice
from tests.support.appliance import TREE, Appliance, free_udp_port, running_appliance
from tests.support.live_calls import live_calls
from workers.caller.exchange import Placed
from workers.caller.phone import Phone, Plan
from workers.caller.report import PHASES
from workers.native import NotBuilt

pytestmark = pytest.mark.process


async def tandem_call(*arguments: str) -> tuple[int, str, str]:
    done = await trio.run_process(
        [sys.executable, "-m", "appliance.cli.main", "call", *arguments],
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        cwd=TREE,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


async def measured(*arguments: str) -> dict[str, Any]:
    code, output, errors = await tandem_call(*arguments, "--json")
    fields = json.loads(output)
    assert isinstance(fields, dict)
    assert code == (0 if not fields["sessions_failed"] else 1), errors
    return fields


async def idle(appliance: Appliance) -> None:
    """Wait until no worker has a session or flow left."""
    await appliance.until(lambda status: all(not worker.sessions for worker in status.workers))


async def test_calls_over_ipv6_lose_nothing(tmp_path: Path) -> None:
    relay = {"listen": [f"[::1]:{free_udp_port()}"]}
    signaling = {"listen": ["[::1]:0"]}
    async with running_appliance(tmp_path, {"relay": relay, "signaling": signaling}) as appliance:
        assert appliance.url.startswith("http://[::1]:")
        url = f"{appliance.url}/v1/realtime/calls"
        fields = await measured(url, "--count", "5", "--seconds", "2", "--data", "--restart", "1")
        assert (fields["sessions_ok"], fields["sessions_failed"]) == (5, 0), fields["errors"]
        assert (fields["packets_sent"], fields["packets_lost"]) == (500, 0)
        assert fields["messages_lost"] == 0
        assert fields["ice_restarts"] >= 5
        await idle(appliance)


@pytest.mark.parametrize("media", ["native", "python"])
async def test_twenty_calls_lose_nothing_and_leave_nothing(tmp_path: Path, media: str) -> None:
    async with running_appliance(tmp_path, {"transceiver": {"media": media}}) as appliance:
        assert (await appliance.worker("transceiver-0")).note.startswith(media)
        url = f"{appliance.url}/v1/realtime/calls"
        fields = await measured(url, "--count", "20", "--seconds", "3")
        assert (fields["sessions_ok"], fields["sessions_failed"]) == (20, 0), fields["errors"]
        assert (fields["packets_sent"], fields["packets_lost"]) == (3000, 0)
        assert (fields["packets_duplicated"], fields["packets_foreign"]) == (0, 0)
        assert fields["setup_p50_ms"] > fields["connected_p50_ms"] > fields["dtls_p50_ms"] > 0
        assert fields["rtt_p99_ms"] >= fields["rtt_p50_ms"] > 0
        assert not fields["errors"]
        await idle(appliance)


async def test_calls_say_the_same_whoever_carries_their_media(tmp_path: Path) -> None:
    reports = {}
    async with running_appliance(tmp_path) as appliance:
        url = f"{appliance.url}/v1/realtime/calls"
        for media in (MediaChoice.NATIVE, MediaChoice.PYTHON):
            plan = Plan(url, count=5, seconds=3.0, data=True, restart_every=1.2, media=media)
            try:
                phone = Phone(plan)
            except NotBuilt as reason:
                pytest.skip(str(reason))
            assert phone.media.startswith(media.value)
            await phone.run()
            reports[media] = phone.report
        await idle(appliance)
    for report in reports.values():
        assert (report.sessions_ok, report.sessions_failed) == (5, 0), report.errors
        assert (report.sent, report.received, report.duplicates, report.foreign) == (750, 750, 0, 0)
        assert report.round_trips.count == 750
        assert (report.lost_up, report.lost_down) == (0, 0)
        assert report.restarts >= 5
        assert report.messages_sent == report.messages_received > 50
        assert {phase for phase, measured in report.phases.items() if measured.count == 5} == {
            *PHASES
        }
        assert report.jitter.count == report.jitter_up.count == report.jitter_down.count == 5


@pytest.mark.parametrize("media", [MediaChoice.NATIVE, MediaChoice.PYTHON])
async def test_who_is_stopped_during_a_set_up_says_nothing(
    tmp_path: Path, media: MediaChoice
) -> None:
    async with running_appliance(tmp_path) as appliance:
        plan = Plan(f"{appliance.url}/v1/realtime/calls", seconds=3600.0, media=media)
        phone = Hasty(plan)
        with trio.fail_after(60):
            await phone.run()
        assert (phone.report.sessions_ok, phone.report.sent) == (1, 0), phone.report.errors
        await idle(appliance)


class Hasty(Phone):
    """It is stopped between an offer and its answer."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        place = self._exchange.place

        async def place_and_stop(offer: str) -> Placed:
            placed = await place(offer)
            self.stop()
            return placed

        self._exchange.place = place_and_stop  # type: ignore[method-assign]


async def test_a_call_that_moves_goes_on(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        paths: set[str] = set()
        async with live_calls(appliance, count=1, options=("--move", "2")) as calls:
            with trio.fail_after(60):
                while len(paths) < 3:
                    (row,) = (await appliance.sessions()).rows
                    paths.add(row.path)
                    await trio.sleep(0.02)
        fields = calls.report
        assert (fields["media"], fields["sessions_ok"]) == ("native", 1), fields["errors"]
        # One that had to wait for the next consent check would lose most of what it says.
        assert fields["packets_received"] > fields["packets_sent"] / 2
        await idle(appliance)


async def test_whip_and_a_spoken_file(tmp_path: Path) -> None:
    spoken = tmp_path / "tone.wav"
    with wave.open(str(spoken), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(array("h", [(i * 977) % 20000 - 10000 for i in range(16000)]).tobytes())
    async with running_appliance(tmp_path) as appliance:
        url = f"{appliance.url}/whip/echo"
        fields = await measured(url, "--count", "3", "--seconds", "1.5", "--wav", str(spoken))
        assert fields["sessions_ok"] == 3, fields["errors"]
        assert (fields["packets_received"], fields["packets_foreign"]) == (225, 0)
        assert fields["media"] == "python (UDP and silence only)"
        await idle(appliance)


async def test_what_goes_wrong_is_said_and_counted(tmp_path: Path) -> None:
    async with running_appliance(tmp_path, {"transceiver": {"max_sessions": 2}}) as appliance:
        url = f"{appliance.url}/v1/realtime/calls"
        fields = await measured(url, "--count", "3", "--seconds", "2", "--rate", "0")
        assert (fields["sessions_ok"], fields["sessions_failed"]) == (2, 1)
        assert [error["count"] for error in fields["errors"]] == [1]
        assert "HTTP 503" in fields["errors"][0]["error"]
        code, output, _ = await tandem_call(f"{appliance.url}/whip/nobody")
        assert code == 1
        assert "HTTP 404" in output
    code, output, _ = await tandem_call(url)
    assert code == 1
    assert "refused" in output.lower()


async def test_the_first_signal_hangs_up_and_still_reports(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        url = f"{appliance.url}/v1/realtime/calls"
        command = [sys.executable, "-m", "workers.caller", url, "--seconds", "600", "--json"]
        with (tmp_path / "report").open("wb") as report:
            caller = subprocess.Popen(command, stdout=report, cwd=TREE)
            try:
                await appliance.until(lambda status: any(w.sessions for w in status.workers))
                while not (await appliance.sessions()).rows[0].packets_in:
                    await trio.sleep(0.02)
                caller.terminate()
                with trio.fail_after(60):
                    while caller.poll() is None:
                        await trio.sleep(0.02)
            finally:
                caller.kill()
                caller.wait()
        fields = json.loads((tmp_path / "report").read_text())
        assert fields["sessions_ok"] == 1
        assert fields["packets_lost"] == 0
        await idle(appliance)
