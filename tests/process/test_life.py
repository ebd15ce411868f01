"""The life of a call through a real appliance: restarts, moves, messages, limits, ends with a reason."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from ipc.messages.stats import SignalingStats, TransceiverStats
from tests.interop.test_chromium import of
from tests.process.test_call import idle, measured
from tests.support.appliance import running_appliance
from tests.support.live_calls import CALLS, live_calls

pytestmark = pytest.mark.process


@pytest.mark.parametrize("endpoint", ["/v1/realtime/calls", "/whip/echo"])
async def test_ice_restarts_under_live_media_lose_nothing(tmp_path: Path, endpoint: str) -> None:
    async with running_appliance(tmp_path) as appliance:
        options = ("--restart", "0.5", "--data")
        async with live_calls(appliance, options=options, path=endpoint) as calls:
            await appliance.until(
                lambda it: (
                    of(SignalingStats, it).responses.get("200", 0) >= 15  # to restarts
                    and of(TransceiverStats, it).messages_in >= 90
                )
            )
        fields = calls.report
        assert fields["sessions_ok"] == CALLS, fields["errors"]
        assert fields["ice_restarts"] >= 15
        assert fields["packets_sent"] > 0
        assert fields["messages_sent"] >= 90
        assert (fields["packets_lost"], fields["messages_lost"]) == (0, 0)
        await idle(appliance)


async def test_media_follows_a_client_to_another_address_within_one_check(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        fields = await measured(
            f"{appliance.url}/whip/echo", "--count", "2", "--seconds", "6", "--move", "1"
        )
        assert fields["sessions_ok"] == 2, fields["errors"]
        assert fields["packets_sent"] == 600
        # What is on its way to a port that is gone is lost, and what leaves before the check's answer is
        # back. A client that had to wait for its next consent check would lose most of all.
        assert fields["packets_lost"] < 300
        await idle(appliance)


async def test_messages_alone(tmp_path: Path) -> None:
    async with running_appliance(tmp_path) as appliance:
        options = ("--data", "--no-audio")
        async with live_calls(appliance, count=1, options=options, path="/whip/echo") as calls:
            await appliance.until(lambda it: of(TransceiverStats, it).messages_in >= 15)
        fields = calls.report
        assert fields["sessions_ok"] == 1, fields["errors"]
        assert fields["packets_sent"] == 0
        assert fields["messages_sent"] >= 15
        assert fields["messages_lost"] == 0
        assert fields["channel_p50_ms"] > fields["connected_p50_ms"] > 0
        assert fields["message_rtt_p50_ms"] > 0
        sent = fields["messages_sent"]
        status = await appliance.until(lambda it: of(TransceiverStats, it).messages_in == sent)
        stats = of(TransceiverStats, status)
        assert stats.messages_out == sent
        assert stats.message_bytes_in == stats.message_bytes_out > 0
        await idle(appliance)


async def test_a_call_that_lasts_too_long_is_ended_and_says_why(tmp_path: Path) -> None:
    limits = {"transceiver": {"max_duration": 1.0}}
    async with running_appliance(tmp_path, limits) as appliance:
        fields = await measured(f"{appliance.url}/whip/echo", "--seconds", "5")
        assert [e["error"] for e in fields["errors"]] == ["the server ended the call early"]
        await idle(appliance)


async def test_a_call_that_says_nothing_is_ended_and_says_why(tmp_path: Path) -> None:
    limits = {"transceiver": {"connect_timeout": 1.0}}
    offer = (Path(__file__).parents[1] / "fixtures" / "offers" / "pion-audio-data.sdp").read_text()
    async with running_appliance(tmp_path, limits) as appliance, httpx.AsyncClient() as client:
        url = appliance.url
        headers = {"content-type": "application/sdp"}
        created = await client.post(f"{url}/whip/echo", content=offer, headers=headers)
        location = f"{url}{created.headers['location']}"
        await appliance.until(
            lambda status: "connect_timeout" in of(TransceiverStats, status).closed
        )
        gone = await client.delete(location)
        assert gone.status_code == 404
        assert gone.json()["detail"] == "it is over: connect_timeout"
        again = await client.post(location, content=offer, headers=headers)
        assert again.status_code == 405
        assert "not renegotiated" in again.json()["detail"]


async def test_a_call_that_talks_is_not_idle(tmp_path: Path) -> None:
    limits = {"transceiver": {"idle_timeout": 1.0}}
    async with running_appliance(tmp_path, limits) as appliance:
        fields = await measured(f"{appliance.url}/whip/echo", "--seconds", "4")
        assert fields["sessions_ok"] == 1, fields["errors"]


async def test_a_call_with_longer_pauses_than_it_may_have_is_idle(tmp_path: Path) -> None:
    """A frame is 20 ms."""
    limits = {"transceiver": {"idle_timeout": 0.005}}
    async with running_appliance(tmp_path, limits) as appliance:
        fields = await measured(f"{appliance.url}/whip/echo", "--seconds", "5")
        assert [e["error"] for e in fields["errors"]] == ["the server ended the call early"]
        status = await appliance.until(lambda status: bool(of(TransceiverStats, status).closed))
        assert of(TransceiverStats, status).closed == {"idle": 1}
