"""Who watches is told what happens, at once, and not kept from going on."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from appliance.supervisor import events as module
from appliance.supervisor.core.health import ApplianceState
from appliance.supervisor.core.interface import ApplianceChanged, ProcessId, WorkerChanged
from appliance.supervisor.core.lifecycle import WorkerState
from appliance.supervisor.events import EventDesk
from config.ids import WorkerName
from ipc.messages.admin import Failure, ReloadReply
from ipc.messages.events import EventKind, Events, WatchEvents
from ipc.messages.stats import SessionEvent, SessionEvents

T0 = WorkerName("transceiver-0")


def closed(session: str) -> SessionEvents:
    return SessionEvents(T0, (SessionEvent(session, "closed", "hangup", 12.5),))


async def watched(desk: EventDesk, request: WatchEvents) -> Events:
    reply = await desk.watch(request)
    assert isinstance(reply, Events)
    return reply


async def test_everything_that_happens_is_taken_down() -> None:
    desk = EventDesk()
    desk.note_change(WorkerChanged(ProcessId(T0, 7), 99, WorkerState.BACKOFF, "exit code 70"))
    desk.note_change(ApplianceChanged(ApplianceState.READY))
    desk.note_reload(ReloadReply())
    desk.note_reload(ReloadReply(problems=("a", "b")))
    desk.note_reload(ReloadReply(given_up="the canary died"))
    desk.hear(closed("rtc_0_x"))
    reply = await watched(desk, WatchEvents())
    assert reply.supervisor == (await watched(desk, WatchEvents())).supervisor
    # After an upgrade, and in a container, the next supervisor has the same pid.
    assert reply.supervisor != (await watched(EventDesk(), WatchEvents())).supervisor
    assert [(e.kind, e.what, e.detail) for e in reply.events] == [
        (EventKind.WORKER, "back-off", "process 99, exit code 70"),
        (EventKind.APPLIANCE, "ready", ""),
        (EventKind.RELOAD, "done", ""),
        (EventKind.RELOAD, "refused", "a; b"),
        (EventKind.RELOAD, "given up", "the canary died"),
        (EventKind.SESSION, "closed", "hangup"),
    ]
    last = reply.events[-1]
    assert (last.worker, last.session, last.at) == (T0, "rtc_0_x", 12.5)


async def test_who_waits_is_told_at_once_and_only_what_was_asked(
    autojump_clock: trio.testing.MockClock,
) -> None:
    desk = EventDesk()
    replies: list[Events] = []

    async def watch() -> None:
        replies.append(await watched(desk, WatchEvents(after=0, session="rtc_0_y")))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await trio.testing.wait_all_tasks_blocked()
        desk.hear(closed("rtc_0_x"))
        await trio.testing.wait_all_tasks_blocked()
        assert not replies
        desk.hear(closed("rtc_0_y"))
    (reply,) = replies
    assert [e.session for e in reply.events] == ["rtc_0_y"]
    assert reply.serial == 2
    assert trio.current_time() < 1


async def test_nothing_happens(autojump_clock: trio.testing.MockClock) -> None:
    desk = EventDesk()
    desk.hear(closed("rtc_0_x"))
    began = trio.current_time()
    reply = await watched(desk, WatchEvents(after=0, within=3, session="rtc_0_y"))
    assert (reply.serial, reply.events) == (1, ())
    assert trio.current_time() - began == pytest.approx(3, abs=0.1)
    await watched(desk, WatchEvents(after=1, within=1e9))
    assert trio.current_time() - began < 60


async def test_too_many_watchers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WATCHERS", 1)
    desk = EventDesk()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.watch, WatchEvents(after=0))
        await trio.testing.wait_all_tasks_blocked()
        assert isinstance(await desk.watch(WatchEvents(after=0)), Failure)
        nursery.cancel_scope.cancel()
    assert isinstance(await desk.watch(WatchEvents()), Events)
