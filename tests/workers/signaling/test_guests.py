"""Two hosts for real: what one asks the other over CURVE, and who is not let in."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
import trio

from config.ids import Endpoint, SessionId
from ipc.lost import Losses
from ipc.messages.fleet import FleetDoor, FleetView
from ipc.messages.routes import Transceivers
from ipc.messages.sessions import CloseReason, CreateSession, EndSession, WatchSessions
from tests.support.quiet_log import LogLines
from tests.support.signaling import (
    CLUSTER,
    KEYS,
    OFFER,
    FakeTransceivers,
    entry,
    other_host,
    route,
    switchboard_with,
)
from workers.http.problems import ProblemKind, Refused
from workers.signaling.elsewhere import Elsewhere
from workers.signaling.guests import Guests
from workers.signaling.line import RpcLine
from workers.signaling.membership import Membership
from workers.signaling.sidebands import Sidebands
from workers.signaling.switchboard import Interrupted, Switchboard

CREATE = CreateSession(offer=OFFER)
OURS, THEIRS = Membership({"k": bytes(16)}, "k"), Membership({"k": bytes(range(16))}, "k")


def free_address() -> Endpoint:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return Endpoint("127.0.0.1", probe.getsockname()[1])


class Stage:
    """The host that is asked: its transceiver 1 is a fake. And the one that asks, which has none."""

    def __init__(self, membership: Membership, lines: LogLines) -> None:
        self.lines = lines
        self.at = free_address()
        self.transceivers = FakeTransceivers()
        self.there = switchboard_with(self.transceivers, entry(1))
        self.guests = Guests(self.there, OURS, lines.log, Losses())
        self.line = RpcLine(membership)
        self.here = Switchboard(KEYS, self.line, answer_within=10.0, elsewhere=Elsewhere(CLUSTER))
        self.learn(OURS.own.public)

    def learn(self, key: str, opened: int = 1) -> None:
        """The registry says where the door is, which key it shows, and which process has opened it."""
        host = msgspec.structs.replace(other_host(1), door=FleetDoor(self.at, key, opened))
        self.here.learn(FleetView((host,)))


@asynccontextmanager
async def two_hosts(membership: Membership = OURS) -> AsyncIterator[Stage]:
    lines = LogLines()
    stage = Stage(membership, lines)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.guests.serve, stage.at)
        with stage.line:
            yield stage
        nursery.cancel_scope.cancel()
    lines.close()


async def test_a_call_is_placed_changed_watched_and_ended_at_the_other_host() -> None:
    async with two_hosts() as stage:
        created = await stage.here.create(CREATE)
        assert stage.transceivers.sessions[created.session].offer == OFFER
        assert (await stage.here.patch(created.session, "a=x", ())).ice == "ice-2"
        stage.transceivers.happens(created.session)
        told = await stage.here.watch(route(1), WatchSessions())
        assert [news.session for news in told.news] == [created.session]
        await stage.here.end(created.session)
        told = await stage.here.watch(route(1), WatchSessions(told.serial))
        assert [news.closed for news in told.news] == [CloseReason.HANGUP]
        assert stage.guests.counters == {"placed": 1}
        with pytest.raises(Refused) as refused:
            await stage.here.end(created.session)
        assert refused.value.kind is ProblemKind.UNKNOWN_SESSION


async def test_what_is_under_way_when_a_door_falls_shut_is_asked_again_when_it_opens() -> None:
    """Restarts and hang-ups, which may be repeated; who waits for news is told to ask again."""
    lines, ended = LogLines(), list[str]()
    stage = Stage(OURS, lines)

    async def restart(session: SessionId) -> None:
        ended.append((await stage.here.patch(session, "a=x", ())).ice)

    async def watch() -> None:
        with pytest.raises(Interrupted):
            await stage.here.watch(route(1), WatchSessions(within=20.0))
        ended.append("news")

    async def until(holds: Callable[[], object]) -> None:
        with trio.fail_after(20):
            while not holds():
                await trio.sleep(0.01)

    with stage.line:
        async with trio.open_nursery() as callers:
            async with trio.open_nursery() as first:
                first.start_soon(stage.guests.serve, stage.at)
                created = await stage.here.create(CREATE)
                stage.transceivers.delay = 600.0
                callers.start_soon(restart, created.session)
                callers.start_soon(watch)
                await until(lambda: stage.transceivers.asked["fake-1"] == 2)
                await until(lambda: stage.transceivers.watched["fake-1"])
                first.cancel_scope.cancel()
            stage.transceivers.delay = 0.0
            async with trio.open_nursery() as second:
                second.start_soon(stage.guests.serve, stage.at)
                stage.learn(OURS.own.public, opened=2)
                await until(lambda: len(ended) == 2)
                second.cancel_scope.cancel()
    assert sorted(ended) == ["ice-2", "news"]
    lines.close()


async def test_what_it_refuses_arrives_as_a_refusal() -> None:
    async with two_hosts() as stage:
        with pytest.raises(Refused) as refused:
            await stage.here.create(CreateSession(offer="nonsense"))
        assert refused.value.kind is ProblemKind.MALFORMED_SDP
        stage.there.update(Transceivers((entry(1),), draining=True))
        with pytest.raises(Refused) as refused:
            await stage.here.create(CREATE)
        assert refused.value.kind is ProblemKind.NOT_READY  # our own
        assert not stage.transceivers.sessions
        assert stage.guests.counters["refused"] == 2


async def test_it_carries_nothing_on_to_a_third() -> None:
    async with two_hosts() as stage:
        stage.there.update(Transceivers((), draining=True))
        third = other_host(3)
        stage.there.learn(FleetView((third,)))
        await stage.there.create(CREATE)  # for its own clients it does
        with pytest.raises(Refused):
            await stage.here.create(CREATE)
        foreign = SessionId(f"rtc_7_{KEYS.mint(route(3), bytes(6))}")
        asked = stage.transceivers.asked.copy()
        reply = await stage.guests.answer(EndSession(foreign))
        assert type(reply).__name__ == "SessionUnknown"
        assert stage.transceivers.asked == asked


async def test_who_has_no_key_of_the_fleet_is_not_let_in() -> None:
    async with two_hosts(THEIRS) as stage:
        with pytest.raises(Refused):
            await stage.here.create(CREATE)
        # Nor by somebody who knows what key to expect.
        stage.line._membership = _Liar({"k": bytes(range(16))}, "k")
        stage.here._attempt_within = 1.0
        with pytest.raises(Refused):
            await stage.here.create(CREATE)
        assert not stage.transceivers.asked
        assert "host refused" in stage.lines.events()


class _Liar(Membership):
    def curve(self, server: str):  # type: ignore[no-untyped-def]
        """Whoever that is."""
        return OURS.curve(OURS.own.public)._replace(own=THEIRS.own)  # type: ignore[union-attr]


async def test_it_waits_until_the_address_is_free() -> None:
    """As its predecessor in a roll has it until it drains."""
    lines = LogLines()
    stage = Stage(OURS, lines)
    taken = socket.create_server(tuple(stage.at))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.guests.serve, stage.at)
        with trio.fail_after(20):
            while "other hosts cannot place calls here yet" not in lines.events():
                await trio.sleep(0.01)
        taken.close()
        with stage.line:
            await stage.here.create(CREATE)
        nursery.cancel_scope.cancel()
    assert lines.events().count("other hosts cannot place calls here yet") == 1
    lines.close()


async def test_a_sideband_of_a_call_at_the_other_host() -> None:
    async with two_hosts() as stage, trio.open_nursery() as nursery:
        sidebands = Sidebands(stage.here)
        nursery.start_soon(sidebands.run)
        session = (await stage.here.create(CREATE)).session
        with trio.fail_after(20):
            async with sidebands.open(session, "") as sideband:
                stage.transceivers.says(session, "hello")
                assert (await sideband.next()).text == "hello"
                await sideband.say("here")
                assert stage.transceivers.said == ["here"]
                await stage.here.end(session)
                assert (await sideband.next()).closed is CloseReason.HANGUP
        with pytest.raises(Refused) as refused:
            async with sidebands.open(session, ""):
                pass
        assert refused.value.kind is ProblemKind.UNKNOWN_SESSION
        nursery.cancel_scope.cancel()
