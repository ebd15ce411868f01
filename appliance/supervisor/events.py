"""Events of the appliance and of its sessions, for operators who watch."""

from __future__ import annotations

import os
import time
from typing import Final

import msgspec
import trio

from appliance.supervisor.core.chronicle import Chronicle
from appliance.supervisor.core.interface import ApplianceChanged, WorkerChanged
from ipc.messages import Message
from ipc.messages.admin import Failure, ReloadReply
from ipc.messages.events import EventKind, Events, OpsEvent, WatchEvents
from ipc.messages.stats import SessionEvents

WATCHERS: Final = 64
"""Who may wait at a time."""
PATIENCE: Final = 25.0
"""Seconds one may wait; less than a request may take."""


class EventDesk:
    """Takes down what happens, and tells who waits for it."""

    def __init__(self) -> None:
        self._run = int.from_bytes(os.urandom(6))
        """Not our pid: after an upgrade, and in a container, the next supervisor has the same."""
        self._chronicle = Chronicle()
        self._news = trio.Event()
        self._watchers = 0

    def note_change(self, change: WorkerChanged | ApplianceChanged) -> None:
        """A worker, or the appliance, entered a state."""
        if isinstance(change, WorkerChanged):
            process = f"process {change.pid}" if change.pid else ""
            detail = ", ".join(filter(None, (process, change.why)))
            self._add(EventKind.WORKER, change.state.value, change.process.name, detail=detail)
        else:
            self._add(EventKind.APPLIANCE, change.state.value)

    def note_reload(self, reply: ReloadReply) -> None:
        """A reload is over."""
        outcome = "refused" if reply.problems else "given up" if reply.given_up else "done"
        detail = reply.given_up or "; ".join(reply.problems)
        self._add(EventKind.RELOAD, outcome, detail=detail)

    def hear(self, message: Message) -> None:
        """News of the bus; what happened to sessions is among them."""
        if isinstance(message, SessionEvents):
            for event in message.events:
                at = event.at or None
                self._add(
                    EventKind.SESSION, event.what, message.worker, event.session, event.detail, at
                )

    async def watch(self, request: WatchEvents) -> Events | Failure:
        """Answer as soon as there is something, or when time is up."""
        if self._watchers >= WATCHERS:
            return Failure(f"{WATCHERS} others watch already")
        self._watchers += 1
        lost = 0
        try:
            with trio.move_on_after(min(max(request.within, 0.0), PATIENCE)):
                while True:
                    news, found = self._news, self._chronicle.read(request)
                    lost += found.lost
                    if found.events or found.lost or request.after is None:
                        return Events(self._run, found.serial, found.events, lost)
                    # What was of no interest is not looked at again.
                    request = msgspec.structs.replace(request, after=found.serial)
                    await news.wait()
        finally:
            self._watchers -= 1
        return Events(self._run, request.after or 0, (), lost)

    def _add(
        self,
        kind: EventKind,
        what: str,
        worker: str = "",
        session: str = "",
        detail: str = "",
        at: float | None = None,
    ) -> None:
        when = time.time() if at is None else at
        self._chronicle.add(OpsEvent(0, when, kind, what, worker, session, detail))
        self._news.set()
        self._news = trio.Event()
