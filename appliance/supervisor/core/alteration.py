"""What the operator has asked for and is not over yet: workers replaced, or another number of them."""

from __future__ import annotations

from typing import Final

from appliance.supervisor.core.distribution import Distribution
from appliance.supervisor.core.fleet import Fleet
from appliance.supervisor.core.interface import (
    Abandon,
    Output,
    Reloaded,
    ReloadRequested,
    ResizeRequested,
    Steered,
)
from appliance.supervisor.core.lifecycle import WorkerState
from appliance.supervisor.core.patience import STOP_GRACE
from appliance.supervisor.core.resize import Resize
from appliance.supervisor.core.roll import Roll
from appliance.supervisor.core.succession import BESIDE
from appliance.supervisor.core.worker import Worker
from config.ids import Instant, Role
from ipc.messages.lifecycle import Release, Stop

ALONE: Final = frozenset({Role.FLEET, Role.TELEMETRY})
"""Roles whose workers bind what a second one could not, and whom no call misses for a moment."""
INTERRUPTED: Final = "the appliance was told to end"
GENERATIONS: Final = 4
"""Workers that finish old sessions, for each that takes new ones: no more are replaced before some end."""


class Alteration:
    """At most one roll or resize."""

    def __init__(self, fleet: Fleet, distribution: Distribution) -> None:
        self._fleet = fleet
        self._distribution = distribution
        self._roll: Roll | None = None
        self._resize: Resize | None = None

    @property
    def deadline(self) -> Instant | None:
        """When `advance` may have something to do though nothing has happened."""
        under_way = self._resize or self._roll
        return under_way.deadline if under_way else None

    def is_planned(self, worker: Worker) -> bool:
        """That it does not serve is no fault: it is being replaced, joins or leaves."""
        return self.is_rolled(worker) or worker.joining or not worker.stays

    def is_rolled(self, worker: Worker) -> bool:
        """It is the one that is being replaced."""
        return self._roll is not None and self._roll.current is worker

    def reload(self, event: ReloadRequested, *, able: bool) -> list[Output]:
        """Begin a roll, or adopt the configuration; `able`: the appliance has started and does not end."""
        if refused := self._refusal(able=able):
            return [refused]
        roll = Roll(self._fleet, event.config, event.workers, event.roll)
        if roll.is_needed:
            if refused := self._surfeit():
                return [refused]
            self._roll = roll
            return []
        self._fleet.adopt(event.config)
        return [Reloaded(())]

    def resize(self, event: ResizeRequested, *, able: bool) -> list[Output]:
        """Begin a resize; the sockets of relays to be added are there."""
        if refused := self._refusal(able=able):
            return [refused]
        leaving = [worker.name for worker in self._fleet.leaving(Role.RELAY)]
        if leaving and event.rehearsal:
            return [Reloaded(())]  # its place in the house is taken
        if leaving:
            who, patience = " and ".join(leaving), self._fleet.config.transceiver.consent_timeout
            return [
                Reloaded((), f"{who} may take up to {patience:g} s to leave; try again after that")
            ]
        self._resize = Resize(self._fleet, event)
        return list(self._distribution.replace_links(event.links, self._fleet))

    def steered(self, event: Steered) -> list[Output]:
        """A Steer was carried out or was not."""
        resize = self._resize
        if resize is None or not resize.is_steering:
            return []
        self._resize = None
        return [resize.steered(event.problem)]

    def advance(self, now: Instant, *, spare: bool, running: bool) -> list[Output]:
        """The next steps; `spare`: one waits, or none is wanted; `running`: the appliance does not end."""
        return [
            *self._advance_roll(now, spare=spare, running=running),
            *self._advance_resize(now, running=running),
        ]

    def clear_away(self) -> list[Output]:
        """Forget workers that have left, and when the last relay has, what was kept for those."""
        gone = [w for w in self._fleet if not w.stays and w.life.state is WorkerState.STOPPED]
        for worker in gone:
            self._fleet.remove(worker)
        relays = [worker for worker in gone if worker.spec.role is Role.RELAY]
        if not relays or self._fleet.leaving(Role.RELAY):
            return []
        left = len(self._fleet.of(Role.RELAY))
        links = self._distribution.links.links[:left]
        return [*self._distribution.replace_links(links, self._fleet), Abandon(left)]

    def why_not(self, *, able: bool) -> str:
        """Why nothing can be altered now; empty if it can."""
        if self._roll or self._resize:
            return "the appliance is being replaced already"
        return "" if able else "the appliance is starting or draining"

    def _refusal(self, *, able: bool) -> Reloaded | None:
        why = self.why_not(able=able)
        return Reloaded((), why) if why else None

    def _surfeit(self) -> Reloaded | None:
        """So many finish old sessions that a roll would fill the memory."""
        for role in BESIDE:
            leaving, staying = self._fleet.leaving(role), self._fleet.staying(role)
            if len(leaving) >= GENERATIONS * max(1, len(staying)):
                who = (
                    f"{leaving[0].name} and {len(leaving) - 1} more"
                    if leaving[1:]
                    else leaving[0].name
                )
                return Reloaded(
                    (), f"{who} still finish old sessions; try again when some have ended"
                )
        return None

    def _advance_roll(self, now: Instant, *, spare: bool, running: bool) -> list[Output]:
        roll = self._roll
        if roll is None:
            return []
        if not running:
            self._roll = None
            return [roll.give_up(INTERRUPTED)]
        following = roll.step(
            now,
            spare=spare,
            current=self._distribution.routes.is_current,
            known=self._distribution.is_known,
        )
        if isinstance(following, Worker):
            following.life.release(now)
            return [following.send(Release())]
        if following is None:
            return []
        self._roll = None
        self._distribution.repeat()
        return [*([] if following.problem else self._restart_alone(roll, now)), following]

    def _restart_alone(self, roll: Roll, now: Instant) -> list[Output]:
        """Workers of the roles that can have none beside them, and that no call waits for."""
        outputs: list[Output] = []
        for worker in self._fleet:
            role, state = worker.spec.role, worker.life.state
            if role in ALONE and role in roll.roles and state is WorkerState.READY:
                worker.life.drain(now, until=now + STOP_GRACE)
                outputs.append(worker.send(Stop()))
        return outputs

    def _advance_resize(self, now: Instant, *, running: bool) -> list[Output]:
        resize = self._resize
        if resize is None:
            return []
        if running:
            known = self._distribution.links_known(self._fleet)
            current = self._distribution.routes.is_current
            following = resize.step(now, known=known, current=current)
        else:
            following = resize.give_up(INTERRUPTED)
        if isinstance(following, Reloaded):
            self._resize = None
        return [] if following is None else [following]
