"""An application beside a call by way of a host on which the call is not."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import trio
from websockets.exceptions import InvalidStatus

from tests.process.test_placing_elsewhere import hosts, replaced, through
from tests.process.test_roll import tandem
from tests.process.test_sidebands import Beside, beside
from tests.support.access import KEY, OTHER_KEY, line
from tests.support.appliance import Appliance
from tests.support.live_calls import live_calls
from tests.support.redis_server import needs_redis

pytestmark = [pytest.mark.process, needs_redis]


async def session_of(appliance: Appliance) -> str:
    """Of its only call."""
    (row,) = (await appliance.sessions()).rows
    return row.session


async def speaks_and_hears(*applications: Beside) -> None:
    """What the first one says comes back, since the back end is an echo, and all hear it."""
    await trio.to_thread.run_sync(applications[0].connection.response.create)
    for each in applications:
        assert (await each.hear()).type == "response.create"


async def test_it_hears_and_speaks_and_the_call_host_may_lose_its_signaling(
    tmp_path: Path,
) -> None:
    async with hosts(tmp_path, {}, {}) as (a, b), live_calls(a, count=1) as calls:
        call = await session_of(a)
        async with beside(b, call) as far:
            await speaks_and_hears(far)
            async with beside(a, call) as near:
                await speaks_and_hears(near, far)
                await speaks_and_hears(far, near)
            pid = (await a.worker("signaling-0")).pid
            os.kill(pid, signal.SIGKILL)
            await a.until(replaced(pid))
            await speaks_and_hears(far)
            calls.hang_up()
            assert await far.closed() == (1000, "hangup")


async def test_it_stays_where_the_client_called_and_ends_with_the_transceiver(
    tmp_path: Path,
) -> None:
    """The call was placed elsewhere; what the host does not know is asked there."""
    async with hosts(tmp_path, {}, {}) as (a, b):
        assert (await tandem(a, "drain"))[0] == 0
        async with (
            live_calls(through(a, b), count=1),
            beside(a, await session_of(b)) as application,
        ):
            await speaks_and_hears(application)
            os.kill((await b.worker("transceiver-0")).pid, signal.SIGKILL)
            code, why = await application.closed()
            assert code == 1011, why
        with pytest.raises(InvalidStatus) as refused:
            async with beside(a, "rtc_0_gone"):
                pass
        assert refused.value.response.status_code == 404


async def test_another_key_is_a_strangers_on_either_host(tmp_path: Path) -> None:
    keys = tmp_path / "api-keys.toml"
    keys.write_text(line("shop", KEY) + line("other", OTHER_KEY))
    keys.chmod(0o600)
    locked: dict[str, Any] = {"signaling": {"api_keys": str(keys)}}
    async with (
        hosts(tmp_path, locked, locked) as (a, b),
        live_calls(a, count=1, options=["--key", KEY]) as calls,
    ):
        call = await session_of(a)
        for host in (a, b):
            with pytest.raises(InvalidStatus) as refused:
                async with beside(host, call, OTHER_KEY):
                    pass
            assert refused.value.response.status_code == 404
            async with beside(host, call, KEY) as application:
                await speaks_and_hears(application)
        calls.hang_up()
