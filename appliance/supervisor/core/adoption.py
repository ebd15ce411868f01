"""Which processes of a supervisor that died become workers of ours.

    SurvivorsFound -> each says Hello: Invite -> it gives back what it holds: Adopted
                   -> every one has, or has ended, or is taken for stuck -> Settled

Who lives is known from the kernel (ipc/roster.py), so nobody is waited for who is not there, and nothing is
decided before everybody has spoken: a relay that heard of half the transceivers would let go the flows of
the others. An adopted worker is where it says that it is: it serves if it has said Ready, else it starts.
Of two with one name, as there are while a relay is replaced, the younger has it; who was leaving goes on
doing so.
"""

from __future__ import annotations

from collections.abc import Mapping

from appliance.supervisor.core.fleet import Fleet
from appliance.supervisor.core.interface import (
    Adopted,
    Invite,
    Kill,
    Output,
    ProcessId,
    Received,
    Reject,
    Settled,
)
from appliance.supervisor.core.lifecycle import HEARTBEAT_TIMEOUT
from appliance.supervisor.core.plan import Goal
from appliance.supervisor.core.spec import WorkerSpec, new_specs
from appliance.supervisor.core.worker import Worker
from config.ids import Instant, Role, WorkerName
from ipc.messages.lifecycle import PROTOCOL_VERSION, Hello, WorkerPhase

UNKNOWN: WorkerName = WorkerName("?")
"""The name of a survivor that has not said who it is."""


class Adoption:
    """From the first look at the roster until all survivors have a place, or none."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._awaited: dict[int, int] = {}
        self._claims: dict[int, Adopted] = {}
        self.has_any = False
        """There is, or was, anybody to adopt."""
        self.deadline: Instant | None = None
        """When who has not spoken is taken for stuck; None before it begins and when it is over."""

    def begin(self, living: Mapping[int, int], now: Instant) -> None:
        """These are there: generation -> pid."""
        self._awaited = dict(living)
        self.has_any = bool(living)
        self.deadline = now + HEARTBEAT_TIMEOUT

    def greet(self, event: Received) -> list[Output] | None:
        """What to say to a peer that is none of our own processes; None: it is no survivor either."""
        process, pid = event.process, event.pid
        claim = self._claims.get(process.generation)
        if claim is not None and (claim.process, claim.pid) == (process, pid):
            return []  # it waits for the others
        if self._awaited.get(process.generation) != pid or not isinstance(event.message, Hello):
            return None
        if event.message.version != PROTOCOL_VERSION:
            del self._awaited[process.generation]
            why = f"speaks version {event.message.version}, the supervisor {PROTOCOL_VERSION}"
            return [Reject(process, pid, why)]
        return [Invite(process, pid)]

    def adopted(self, event: Adopted) -> list[Output]:
        """One has given back what it holds."""
        generation = event.process.generation
        if self._awaited.get(generation) != event.pid:
            return []
        del self._awaited[generation]
        if event.misfit:
            return [Reject(event.process, event.pid, event.misfit)]
        self._claims[generation] = event
        return []

    def gone(self, process: ProcessId) -> None:
        """One has ended."""
        self._awaited.pop(process.generation, None)
        self._claims.pop(process.generation, None)

    def advance(self, now: Instant) -> list[Output]:
        """Kill who is stuck, and settle when nobody is awaited any more."""
        if self.deadline is None:
            return []
        outputs: list[Output] = []
        if now >= self.deadline:
            why = f"an old worker that said nothing for {HEARTBEAT_TIMEOUT:g} s"
            outputs += [Kill(ProcessId(UNKNOWN, generation), why) for generation in self._awaited]
            self._awaited.clear()
        if self._awaited:
            return outputs
        self.deadline = None
        unique: dict[WorkerName, Adopted] = {}
        for _, claim in sorted(self._claims.items()):
            if (older := unique.get(claim.process.name)) is not None:
                why = f"a younger process is {claim.process.name}"
                outputs.append(Reject(older.process, older.pid, why))
            unique[claim.process.name] = claim
        self._claims.clear()
        for role in Role:
            self._seat(role, [claim for claim in unique.values() if claim.role is role], now)
        self._tell_transceivers()
        self.has_any = bool(unique)
        return [*outputs, Settled(tuple(claim.process for claim in unique.values()))]

    def to_greet(self) -> list[Worker]:
        """Who hears the truth as soon as it is whole.

        Signaling hears it after its next Hello: by then relays have acknowledged the routes, and no call is
        turned away for want of that.
        """
        return [w for w in self._fleet if w.life.has_process and w.spec.role is not Role.SIGNALING]

    def _seat(self, role: Role, claims: list[Adopted], now: Instant) -> None:
        """Give the workers of one role, the eldest first, their places.

        As many stay as are wanted, of those that have not been told to leave: the eldest, since a
        successor that was still to join has no sessions. The others finish what they have.
        """
        wanted = [worker.spec for worker in self._fleet.of(role)]
        if role is not Role.RELAY:  # whose index is that of its sockets
            serving = [claim for claim in claims if claim.phase is not WorkerPhase.DRAINING]
            staying = serving[: len(wanted)]
            taken = {claim.index for claim in claims}
            missing = new_specs(role, len(wanted) - len(staying), taken)
            present = tuple(map(_spec, staying))
            self._fleet.seat(role, sorted((*present, *missing), key=lambda spec: spec.index))
        for claim in claims:
            worker = self._fleet.get(claim.process.name)
            if worker is None:
                worker = self._fleet.add(_spec(claim), self._fleet.config)
                worker.joining = False
                worker.retire_by = Goal.DRAIN
            _occupy(worker, claim, now)

    def _tell_transceivers(self) -> None:
        """Whoever is started from now on works with the realtime workers that there are."""
        realtime = tuple(worker.spec.index for worker in self._fleet.staying(Role.REALTIME))
        for worker in self._fleet.of(Role.TRANSCEIVER):
            worker.realtime = realtime


def _spec(claim: Adopted) -> WorkerSpec:
    return WorkerSpec(claim.process.name, claim.role, claim.index)


def _occupy(worker: Worker, claim: Adopted, now: Instant) -> None:
    if claim.config is not None:
        worker.config = claim.config
    worker.begin_process(claim.process.generation, claim.route)
    worker.pid, worker.release = claim.pid, claim.release
    worker.life.spawn(now)
    if claim.ready is not None:
        worker.serve(claim.ready)
        worker.life.ready(now)
