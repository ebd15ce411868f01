"""Replaces the workers of some roles, and has as many of each as wanted, while calls go on.

    CANARIES  one successor of each role that can run beside its predecessor comes up, unused as yet
    RELAYS    relays are replaced one by one, each only when its predecessor's successor serves
    OTHERS    the remaining successors come up
    -> all of them join, whom they replace drains, and everybody's next process gets the new configuration

The order is that of what may go wrong. A configuration, or a version of the code, with which a worker does
not come up shows before anything has been touched. Relays come before those that mint ufrags join, so that
no client ever brings one that its relay cannot read. Whatever fails, the successors of the other roles end
unseen: nothing has changed, unless relays were replaced, of which the answer says so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from enum import Enum

from appliance.supervisor.core.fleet import Fleet
from appliance.supervisor.core.handover import HandedOver, Handover
from appliance.supervisor.core.interface import Reloaded
from appliance.supervisor.core.spec import WorkerSpec
from appliance.supervisor.core.succession import Succession
from appliance.supervisor.core.worker import Worker
from config.ids import Instant, Role, WorkerName
from config.model import Config


class _Phase(Enum):
    CANARIES = "canaries"
    RELAYS = "relays"
    OTHERS = "others"


class Roll:
    """A replacement that is under way."""

    def __init__(
        self,
        fleet: Fleet,
        config: Config,
        workers: Sequence[WorkerSpec],
        roles: Collection[Role],
    ) -> None:
        self._fleet = fleet
        self._config = config
        self.roles = frozenset(roles)
        """Whose workers are replaced."""
        self._succession = Succession(fleet, config, workers, roles)
        self._with_relays = Role.RELAY in roles
        self._relays: Handover | None = None
        self._phase = _Phase.CANARIES

    @property
    def is_needed(self) -> bool:
        """There is anything to do."""
        return self._with_relays or self._succession.is_needed

    @property
    def current(self) -> Worker | None:
        """The relay whose turn it is."""
        return self._relays.current if self._relays else None

    @property
    def deadline(self) -> Instant | None:
        """When `step` may have something to do though nothing has happened."""
        return self._succession.deadline

    def step(
        self,
        now: Instant,
        *,
        spare: bool,
        current: Callable[[WorkerName], bool],
        known: Callable[[Worker], bool],
    ) -> Worker | Reloaded | None:
        """The relay to release now, the end of it all, or None: there is something to wait for.

        `spare`: one for a relay is waiting; `current`: whether a relay routes by the newest serial;
        `known`: whether every relay knows the route of a transceiver.
        """
        beside = self._succession
        if failure := beside.failure(now):
            rest = "the others go on as they are" if self._replaced else "all else is as it was"
            return self.give_up(f"{failure}; {rest}")
        if self._phase is _Phase.CANARIES:
            if not beside.bring_up(beside.canaries, now, known):
                return None
            self._phase = _Phase.RELAYS
            relays = self._fleet.staying(Role.RELAY) if self._with_relays else ()
            self._relays = Handover(self._config, relays, now)
        if self._phase is _Phase.RELAYS:
            assert self._relays is not None
            following = self._relays.step(now, spare=spare, current=current)
            if not isinstance(following, HandedOver):
                return following
            if following.problem:
                return self.give_up(following.problem)
            self._phase = _Phase.OTHERS
        if not beside.bring_up(beside.number, now, known):
            return None
        beside.join()
        self._fleet.adopt(self._config)
        return Reloaded(
            (*self._replaced, *beside.replaced), added=beside.added, removed=beside.removed
        )

    def give_up(self, why: str) -> Reloaded:
        """It cannot go on: who has not been replaced goes on."""
        self._succession.give_up()
        return Reloaded(self._replaced, why)

    @property
    def _replaced(self) -> tuple[WorkerName, ...]:
        return tuple(self._relays.replaced) if self._relays else ()
