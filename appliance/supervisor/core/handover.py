"""Replaces the relays one by one, each only when its predecessor's successor serves.

    for each relay:  wait for a spare -> Release -> Released -> spawned with the same sockets and table
                     -> Hello: its predecessor may end (releases.py)
                     -> Ready and RoutesApplied -> the next one

The first is the canary. If its successor does not come up, every relay keeps the old configuration, and the
canary's place gets it back at once. If a later one does not come up, the rest is not touched: each place
keeps what its process has, and the next roll tries all of them again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from appliance.supervisor.core.lifecycle import WorkerState
from appliance.supervisor.core.worker import Worker
from config.ids import Instant, WorkerName
from config.model import Config

CANARY_TIMEOUT: Final = 5.0
"""Seconds that a successor has to become ready: less than at a start, since media wait for it."""
SPARE_PATIENCE: Final = 10.0
"""Seconds to wait for a spare; after that a relay is replaced by a cold start."""


class HandedOver(NamedTuple):
    """The end of it."""

    problem: str = ""
    """Why not all were replaced."""


class Handover:
    """A replacement of relays that is under way."""

    def __init__(self, config: Config, relays: Sequence[Worker], now: Instant) -> None:
        self.replaced: list[WorkerName] = []
        self.current: Worker | None = None
        """The one whose turn it is."""
        self._config = config
        self._queue = list(relays)
        self._old = {relay.name: relay.config for relay in relays}
        self._since = now

    def step(
        self, now: Instant, *, spare: bool, current: Callable[[WorkerName], bool]
    ) -> Worker | HandedOver | None:
        """The relay to release now, the end of it all, or None: there is something to wait for.

        `spare`: one is waiting; `current`: whether a relay routes by the newest serial.
        """
        if (relay := self.current) is not None:
            match relay.life.state:
                case WorkerState.STOPPED | WorkerState.STARTING | WorkerState.RELEASING:
                    return None
                case WorkerState.READY if not current(relay.name):
                    return None
                case WorkerState.READY:
                    self.replaced.append(relay.name)
                    self.current, self._since = None, now
                case _:
                    return self._failed(relay, now)
        if not self._queue:
            return HandedOver()
        relay = self._queue[0]
        state = relay.life.state
        patient = spare or now >= self._since + SPARE_PATIENCE
        if state in (WorkerState.BACKOFF, WorkerState.FAILED):
            self._take(relay)
            relay.life.hasten(now)  # it has no process: the new configuration may be what it lacks
        elif state is WorkerState.READY and patient:
            self._take(relay)
            return relay
        return None

    def _take(self, relay: Worker) -> None:
        self._queue.remove(relay)
        self.current = relay
        relay.config = self._config

    def _failed(self, relay: Worker, now: Instant) -> HandedOver:
        self.current = None
        why = f"{relay.name} {relay.life.why}"
        if self.replaced:
            rest = ", the others keep on as they are" if self._queue else ""
            return HandedOver(f"{why}; it is tried again{rest}")
        relay.config = self._old[relay.name]
        relay.life.hasten(now)
        return HandedOver(f"{why}; every relay has the configuration it had before")
