"""A host that cannot take a call places it on another one, and what its client wants later goes there."""

from __future__ import annotations

import copy
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from ipc.messages.admin import StatusReply
from ipc.messages.stats import SignalingStats, TransceiverStats
from tests.process.test_roll import tandem
from tests.process.test_signaling import FRAGMENT
from tests.support.appliance import Appliance
from tests.support.hosts import Site, fleet_stats, knows
from tests.support.live_calls import CALLS, live_calls
from tests.support.redis_server import needs_redis, redis_server
from tests.support.services import OFFER, offer
from tests.support.websocket import websocket

pytestmark = [pytest.mark.process, needs_redis]
"""Seconds of a call that goes on until it is hung up."""


@asynccontextmanager
async def hosts(tmp_path: Path, *more: dict[str, Any]) -> AsyncIterator[list[Appliance]]:
    """So many that place calls with each other, each with a table of its own configuration."""
    site = Site(tmp_path)
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(redis_server())
        await redis.start()
        up = []
        for number, own in enumerate(more, 2):
            config = {"redis": {"url": redis.url}, "fleet": {"calls": site.calls(number)}} | own
            host = site.host(number, tmp_path / str(number), **config)
            up.append(await stack.enter_async_context(host))
        for appliance in up:
            await appliance.until(knows(len(up) - 1))
        yield up


async def until_seen(at: Appliance, host: Appliance, state: str) -> None:
    """Wait until the other one has told that one of its state."""
    (own,) = (row.host for row in (await host.places()).rows if row.own)
    with trio.fail_after(60):
        while {r.host: r.state for r in (await at.places()).rows}[own] != state:
            await trio.sleep(0.05)


def through(front: Appliance, back: Appliance) -> Appliance:
    """Calls are placed at one and live at the other."""
    both = copy.copy(back)
    both.url = front.url
    return both


def signaling_stats(status: StatusReply) -> SignalingStats:
    """Fails with LookupError as long as there are none."""
    found = [w.stats for w in status.workers if isinstance(w.stats, SignalingStats)]
    return found[0]


def placed(where: str, count: int) -> Callable[[StatusReply], bool]:
    """A condition on a status."""

    return lambda status: signaling_stats(status).placed.get(where, 0) == count


def closed(reasons: dict[str, int]) -> Callable[[StatusReply], bool]:
    """So many sessions have ended, for those reasons."""

    def holds(status: StatusReply) -> bool:
        stats = [w.stats for w in status.workers if isinstance(w.stats, TransceiverStats)]
        return [each.closed for each in stats] == [reasons]

    return holds


def replaced(pid: int) -> Callable[[StatusReply], bool]:
    """Another process than that is signaling, and serves."""
    return lambda status: any(
        w.name == "signaling-0" and w.pid not in (0, pid) and w.state == "ready"
        for w in status.workers
    )


def restarts(status: StatusReply) -> int:
    """How many of ICE this signaling worker has carried."""
    return signaling_stats(status).responses.get("200", 0)


@pytest.mark.parametrize("path", ["/v1/realtime/calls", "/whip/echo"])
async def test_a_drained_host_still_answers(tmp_path: Path, path: str) -> None:
    """Offers, ICE restarts and hang-ups; and nothing is left of the calls."""
    async with hosts(tmp_path, {}, {}) as (a, b):
        assert (await tandem(a, "drain"))[0] == 0
        options = ("--restart", "0.5")
        async with live_calls(through(a, b), options=options, path=path) as calls:
            assert not (await a.sessions()).rows
            await a.until(lambda status: restarts(status) >= 2 * CALLS)
        assert calls.report["sessions_ok"] == CALLS, f"{calls.report}\n{a.log()}\n{b.log()}"
        assert calls.report["packets_lost"] == 0
        assert calls.report["ice_restarts"] >= 2 * CALLS
        await b.until(closed({"hangup": CALLS}))
        await a.until(placed("elsewhere", CALLS))


async def test_a_full_host_hands_on_what_it_has_no_room_for(tmp_path: Path) -> None:
    async with hosts(tmp_path, {"transceiver": {"max_sessions": 1}}, {}) as (a, b):
        async with live_calls(a, count=1) as filler:
            async with live_calls(through(a, b), 3.0) as calls:
                assert len((await a.sessions()).rows) == 1
            filler.hang_up()
        assert calls.report["sessions_ok"] == CALLS, f"{calls.report}\n{a.log()}\n{b.log()}"


async def test_who_drains_gets_nothing_from_anybody_from_that_moment_on(tmp_path: Path) -> None:
    """A host tells within a heartbeat that it drains, and refuses what comes before that was heard."""
    one = {"transceiver": {"max_sessions": 1}}
    long = {"transceiver": {"connect_timeout": 300.0}}
    async with hosts(tmp_path, one, long, long) as (a, b, c), live_calls(a, count=1) as filler:
        assert (await tandem(b, "drain"))[0] == 0
        taken = 0
        with trio.fail_after(60):  # a host that is busy may not answer in time
            while taken < 8:  # at once, so that some come before the others have heard of it
                taken += (await offer(a)).status_code == 201
        assert not (await b.sessions()).rows
        assert len((await c.sessions()).rows) >= 8
        assert (await tandem(c, "drain"))[0] == 0
        refused = await offer(a)
        assert refused.status_code == 503
        assert refused.json()["type"] == "urn:tandem:problem:full"
        assert (await tandem(b, "undrain"))[0] == 0
        await until_seen(a, b, "ready")
        async with live_calls(through(a, b), 3.0) as calls:
            pass
        assert calls.report["sessions_ok"] == CALLS, f"{calls.report}\n{a.log()}\n{b.log()}"
        filler.hang_up()


async def test_a_new_signaling_worker_takes_over_what_is_elsewhere(tmp_path: Path) -> None:
    """On either side: ids say where a call is, and the door opens again."""
    patient = {"signaling": {"request_timeout": 60.0}}  # a new process takes long on a busy machine
    async with hosts(tmp_path, patient, patient) as (a, b):
        assert (await tandem(a, "drain"))[0] == 0
        options = ("--restart", "1", "--timeout", "60")
        async with live_calls(through(a, b), options=options) as calls:
            for host in (a, b):
                pid = (await host.worker("signaling-0")).pid
                os.kill(pid, signal.SIGKILL)
                await host.until(replaced(pid))
            before = restarts(await a.until(lambda status: restarts(status) >= 0))
            await a.until(lambda status: restarts(status) >= before + 2 * CALLS)
            calls.hang_up()
        assert calls.report["sessions_failed"] == 0, f"{calls.report}\n{a.log()}\n{b.log()}"
        assert calls.report["ice_restarts"] >= CALLS
        async with live_calls(through(a, b), 3.0) as calls:
            pass
        assert calls.report["sessions_ok"] == CALLS, f"{calls.report}\n{a.log()}\n{b.log()}"


async def test_a_host_that_hangs_costs_a_call_some_seconds_and_no_more(tmp_path: Path) -> None:
    async with hosts(tmp_path, {}, {}, {}) as (a, b, c):
        assert (await tandem(a, "drain"))[0] == 0
        os.kill((await b.worker("signaling-0")).pid, signal.SIGSTOP)
        for _ in range(4):
            assert (await offer(a)).status_code == 201
        assert len((await c.sessions()).rows) == 4
        await a.until(placed("elsewhere", 4))
        assert not placed("refused_elsewhere", 0)(await a.status())


async def test_a_host_with_other_keys_is_not_asked(tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.hex"
    stranger.write_text("f" * 32)
    stranger.chmod(0o600)
    async with hosts(tmp_path, {}, {"ufrag": {"keys": {"a": str(stranger)}}}) as (a, b):
        assert (await tandem(a, "drain"))[0] == 0
        refused = await offer(a)
        assert refused.status_code == 503
        assert refused.json()["type"] == "urn:tandem:problem:draining"
        assert not (await b.sessions()).rows
        assert fleet_stats(await a.status()).hosts == 1


async def test_the_websocket_of_one_host_is_about_calls_on_another(tmp_path: Path) -> None:
    """Whatever is said or told, by two that follow it, and while the signaling of the other one dies."""
    async with hosts(tmp_path, {}, {}) as (a, b):
        assert (await tandem(a, "drain"))[0] == 0
        port = int(a.url.rpartition(":")[2])
        with trio.fail_after(120):
            async with websocket(port) as client, websocket(port) as other:
                answer = await client.ask("offer", sdp=OFFER.read_text())
                session, ice = answer["session"], answer["ice"]
                assert [row.session for row in (await b.sessions()).rows] == [session]
                assert (await other.ask("follow", session=session))["type"] == "followed"
                trickle = {"fragment": "a=end-of-candidates\r\n", "ice": ice}
                said = await client.ask("trickle", **trickle, id=1)
                assert said["id"] == 1
                pid = (await b.worker("signaling-0")).pid
                os.kill(pid, signal.SIGKILL)
                restarted = await client.ask("restart", fragment=FRAGMENT, id=2)
                assert restarted["type"] == "restarted", restarted
                again = await other.ask("restart", fragment=FRAGMENT, session=session)
                assert again["ice"] == restarted["ice"]
                await b.until(replaced(pid))
                await client.say("hangup", id=3)
                told = {(each := await client.hear())["type"]: each for _ in range(2)}
                assert told["hungup"] == {"type": "hungup", "id": 3}
                assert told["closed"] == {"type": "closed", "session": session, "reason": "hangup"}
                assert await other.hear() == told["closed"]
                second = await client.ask("offer", sdp=OFFER.read_text())
                os.kill((await b.worker("transceiver-0")).pid, signal.SIGKILL)
                closed = await client.hear()
                assert (closed["type"], closed["session"]) == ("closed", second["session"])
                assert closed["reason"] == "internal_error"
