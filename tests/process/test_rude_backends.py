"""Back ends that behave badly behind a whole appliance: their sessions suffer, nobody else's."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

import pytest
import trio

from tests.support.appliance import TREE, running_appliance
from tests.support.child import child
from tests.support.live_calls import LONG, call_command, live_calls
from tests.support.services import none_lost, offer, seen, service, there
from tests.support.short_path import short_directory as short_directory

pytestmark = pytest.mark.process
GOOD: Final = Path(__file__).with_name("echo_service.py")
RUDE: Final = Path(__file__).with_name("rude_service.py")
AT_LEAST: Final[dict[str, set[str]]] = {
    "mute": set(),
    "vanish": set(),
    "flood": {"audio_flood"},
    "garbage": {"malformed", "too_large", "unknown_session", "unexpected", "unknown_channel"},
    "old": {"version"},
}
"""What each is told that it did wrong."""


@pytest.mark.parametrize("how", ["mute", "flood", "garbage", "vanish"])
async def test_only_its_own_sessions_suffer(
    tmp_path: Path, short_directory: Path, how: str
) -> None:
    good, rude = (f"ipc://{short_directory}/{name}.sock" for name in ("good", "rude"))
    overrides = {"backends": {"endpoints": {"good": [good], "rude": [rude]}, "default": "rude"}}
    async with (
        service(GOOD, good),
        service(RUDE, rude, how),
        running_appliance(tmp_path, overrides) as appliance,
    ):
        await there(appliance)
        rudely_served = call_command(appliance, LONG, count=2, options=["--data"])
        async with (
            live_calls(appliance, count=2, path="/whip/good") as calls,
            child(rudely_served, stdout=subprocess.PIPE, cwd=TREE) as victims,
        ):
            await trio.sleep(3.0)  # who is mute or gone does nothing that could be waited for
            with trio.fail_after(60):
                while not AT_LEAST[how] <= (await seen(appliance, "rude")).mistakes.keys():
                    await trio.sleep(0.1)
            victims.terminate()
            assert victims.stdout is not None
            assert b"".join([piece async for piece in victims.stdout])
        assert calls.report["sessions_failed"] == 0, f"{calls.report}\n{appliance.log()}"
        await none_lost(calls, appliance, "good")
        assert (await seen(appliance, "good")).mistakes == {}
        # Nothing is left of them, and the transceiver is the one it was.
        with trio.fail_after(60):
            while (await appliance.sessions()).rows:
                await trio.sleep(0.1)
        assert "Traceback" not in appliance.log()
        assert all(worker.restarts == 0 for worker in (await appliance.status()).workers)


async def test_another_version_has_no_sessions_and_is_told_why(
    tmp_path: Path, short_directory: Path
) -> None:
    rude = f"ipc://{short_directory}/rude.sock"
    overrides = {"backends": {"endpoints": {"rude": [rude]}, "default": "rude"}}
    async with (
        service(RUDE, rude, "old"),
        running_appliance(tmp_path, overrides) as appliance,
    ):
        with trio.fail_after(60):
            while not AT_LEAST["old"] <= (await seen(appliance, "rude")).mistakes.keys():
                await trio.sleep(0.1)
        assert (await offer(appliance)).status_code == 503
        assert not (await seen(appliance, "rude")).live
