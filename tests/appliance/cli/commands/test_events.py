from __future__ import annotations

import re
from pathlib import Path

import trio

from appliance.cli.client import Line
from appliance.cli.commands.events import line_of_event, what_follows
from ipc.messages import Message
from ipc.messages.events import EventKind, Events, OpsEvent, WatchEvents
from ipc.rpc import RpcServer
from tests.support.quiet_log import LogLines
from tests.support.short_path import short_directory

directory = short_directory


def test_a_line_an_event() -> None:
    event = OpsEvent(7, 1000.25, EventKind.SESSION, "closed", "transceiver-0", "rtc_0_x", "hangup")
    clock, rest = line_of_event(event).split("  ", 1)
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.250", clock)
    assert rest == "session    rtc_0_x  closed  hangup  (transceiver-0)"
    worker = OpsEvent(8, 1000.0, EventKind.WORKER, "ready", "relay-0")
    assert line_of_event(worker).endswith("worker     relay-0  ready")
    appliance = OpsEvent(9, 1000.0, EventKind.APPLIANCE, "ready")
    assert line_of_event(appliance).endswith("appliance  ready")


async def test_who_follows_hears_all_of_the_next_appliance_though_it_goes_once_more(
    directory: Path,
) -> None:
    asked: list[WatchEvents] = []

    async def answer(request: Message) -> Message:
        assert isinstance(request, WatchEvents)
        asked.append(request)
        if len(asked) == 2:
            raise OSError("gone again")
        return Events(supervisor=2, serial=40)

    lines, endpoint = LogLines(), f"ipc://{directory}/admin.sock"
    with RpcServer(endpoint, log=lines.log) as server, trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve, answer)
            question, last = WatchEvents(7, worker="relay-0"), Events(supervisor=1, serial=7)
            line = Line(endpoint, "here")
            found = await trio.to_thread.run_sync(what_follows, line, question, last)
            nursery.cancel_scope.cancel()
    lines.close()
    assert (found.supervisor, found.serial) == (2, 40)
    assert [(each.after, each.worker) for each in asked] == [(7, "relay-0")] + [(0, "relay-0")] * 2
