"""Keeps the wanted workers running, and ends them in order. Decides; the shell acts.

One door: an event comes in, the state of a worker follows from it (lifecycle.py), and then the whole
appliance is looked at: which stage it is in and which actions bring the workers to its goals (plan.py),
what the operator has asked for (alteration.py), who has to hear what of the others (distribution.py), which
spare processes are missing (spares.py), and how the appliance is (health.py).
Looking at everything after every event is cheap with some dozens of workers, and forgets nothing. Only a
life sign that says nothing new is no reason to: there is one every other second of each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, assert_never

from appliance.supervisor.core.adoption import Adoption
from appliance.supervisor.core.alteration import Alteration
from appliance.supervisor.core.cordon import Cordon
from appliance.supervisor.core.distribution import Distribution
from appliance.supervisor.core.failed_start import failed_start
from appliance.supervisor.core.fleet import Fleet
from appliance.supervisor.core.handover import CANARY_TIMEOUT
from appliance.supervisor.core.health import ApplianceState, Health
from appliance.supervisor.core.identity import refusal
from appliance.supervisor.core.interface import (
    Adopted,
    ApplianceChanged,
    CordonRequested,
    Cordons,
    DrainRequested,
    Event,
    Exited,
    Finished,
    Kill,
    Output,
    Received,
    Reject,
    ReloadRequested,
    ResizeRequested,
    Settled,
    SpareGone,
    SpareStarted,
    SpareWaits,
    SpawnFailed,
    Started,
    StartRequested,
    Steered,
    StopRequested,
    SurvivorsFound,
)
from appliance.supervisor.core.lifecycle import START_TIMEOUT, WorkerState, cause_of
from appliance.supervisor.core.linger import Linger
from appliance.supervisor.core.neighbours import WITHOUT_NUMBER, Neighbours
from appliance.supervisor.core.patience import LEAVES, STOP_GRACE, patience
from appliance.supervisor.core.placement import entries
from appliance.supervisor.core.plan import Action, Goal, Stage, goal_of, next_stage, plan
from appliance.supervisor.core.releases import Releases
from appliance.supervisor.core.spares import Spares
from appliance.supervisor.core.spec import ONLOOKERS, WorkerSpec
from appliance.supervisor.core.worker import Place, Worker
from config.ids import HostId, Instant, Role, TransceiverId
from config.model import Config
from ipc.messages.admin import SpareStatus, WorkerStatus
from ipc.messages.fleet import FleetHost, FleetView, IdsLeased
from ipc.messages.lifecycle import (
    Drain,
    Farewell,
    Heartbeat,
    Hello,
    Ready,
    Released,
    Stop,
    Welcome,
    WorkerPhase,
)
from ipc.messages.routes import RelaysApplied, RoutesApplied, TransceiverEntry, Transceivers

DRAIN_GRACE: Final = 7.0
"""Seconds between the end of a drain and SIGKILL; a worker cancels what is left after 5."""
LATE: Final = 2.0
"""A timer this late means that the supervisor itself stood still: silence proves nothing then."""


class Supervisor:
    """Decides which workers run. Never looks at a clock, starts nothing, sends nothing."""

    def __init__(
        self,
        config: Config,
        specs: tuple[WorkerSpec, ...],
        *,
        supervisor_pid: int,
        next_generation: int,
        cordons: Cordons = Cordons(),  # noqa: B008  # a value
        host: str = "",
        ids: Sequence[TransceiverId] = (),
        view: FleetView = FleetView(()),  # noqa: B008  # a value
    ) -> None:
        """`host` and `ids`: what this host is in a fleet, and its leased numbers of transceivers."""
        self._first_generation = self._next_generation = next_generation
        self._welcome = Welcome(supervisor_pid)
        self._fleet = Fleet(config, specs)
        self._neighbours = Neighbours(config, HostId(host), ids, view)
        self._distribution = Distribution(self._neighbours)
        self._adoption = Adoption(self._fleet)
        self._alteration = Alteration(self._fleet, self._distribution)
        self._releases = Releases()
        self._spares = Spares()
        self._stage = Stage.RUN
        self._running = False
        self._health = Health()
        self._next_tick: Instant | None = None
        self._linger = Linger()
        self._cordon = Cordon(cordons)
        self._outcome = Finished(0, "")

    @property
    def state(self) -> ApplianceState:
        """How the appliance is."""
        return self._health.state

    @property
    def missing(self) -> str:
        """Why this host, as it is, is of no use yet without others; empty if it is."""
        return self._neighbours.missing(self._fleet)

    def workers(self, now: Instant) -> tuple[WorkerStatus, ...]:
        """All workers, as `tandem status` shows them."""
        rows = sorted(self._fleet, key=lambda worker: (worker.spec.role, worker.spec.index))
        return tuple(w.status(now, cordoned=self._cordon.has(w.name)) for w in rows)

    @property
    def is_cordoned(self) -> bool:
        """An operator has said that this host shall take no new sessions."""
        return self._cordon.host

    @property
    def outdated(self) -> frozenset[Role]:
        """Roles of which a worker has another configuration than the next ones get."""
        return self._fleet.outdated

    def spares(self) -> tuple[SpareStatus, ...]:
        """The spare processes."""
        return self._spares.status()

    def transceivers(self) -> tuple[TransceiverEntry, ...]:
        """All transceivers that have sessions or may get some."""
        return entries(
            self._fleet.of(Role.TRANSCEIVER),
            self._distribution.routes,
            self._cordon,
            open_to_new=self._stage is Stage.RUN and self._neighbours.come_in(self._fleet),
            most=self._fleet.config.transceiver.max_sessions,
        )

    def places(self) -> tuple[Place, ...]:
        """All workers as others reach them."""
        return tuple(worker.place() for worker in self._fleet)

    def hosts(self) -> tuple[FleetHost, ...]:
        """This one as it describes itself, then all others that it knows; nobody before the start."""
        return self._distribution.hosts

    def why_not_able(self) -> str:
        """Why nothing can be altered now; empty if it can."""
        return self._alteration.why_not(able=self._is_able)

    # --- the door -------------------------------------------------------------------------------

    def handle(self, event: Event, now: Instant) -> list[Output]:
        """Take one event; the outputs are to be carried out in order."""
        outputs: list[Output] = []
        match event:
            case SurvivorsFound():
                self._adoption.begin(event.living, now)
                self._next_generation = max(self._next_generation, *event.living) + 1
                self._first_generation = self._next_generation
            case Adopted():
                outputs += self._adoption.adopted(event)
            case StartRequested():
                self._start(event, now, outputs)
            case Started():
                if worker := self._current(event):
                    worker.pid = event.pid
            case SpawnFailed():
                if worker := self._current(event):
                    self._gone(worker, f"could not be started: {event.why}", None, now)
            case Exited():
                self._releases.gone(event.process)
                self._adoption.gone(event.process)
                if worker := self._current(event):
                    self._gone(worker, cause_of(event.code), event.code, now)
            case Received():
                if not self._received(event, now, outputs):
                    return outputs
            case SpareStarted():
                self._spares.started(event.spare, event.pid)
            case SpareWaits():
                self._spares.waits(event.spare)
            case SpareGone():
                self._spares.gone(event.spare, now)
            case ReloadRequested():
                outputs += self._alteration.reload(event, able=self._is_able)
            case ResizeRequested():
                outputs += self._alteration.resize(event, able=self._is_able)
            case Steered():
                outputs += self._alteration.steered(event)
            case CordonRequested():
                outputs.append(self._cordon.request(event, self._fleet))
            case DrainRequested():
                if self._stage is Stage.RUN:
                    nothing_runs = not (self._running or self._adoption.has_any)
                    self._stage = Stage.STOP_ALL if nothing_runs else Stage.DRAIN_TRANSCEIVERS
                    self._running |= nothing_runs
                    self._linger.begin(now + self._fleet.config.supervisor.drain_timeout)
                    self._hurry(Role.TRANSCEIVER)
            case StopRequested():
                if self._stage is not Stage.DONE:
                    self._running |= not self._adoption.has_any
                    self._stage = Stage.STOP_ALL
            case _:
                assert_never(event)
        self._settle(now, outputs)
        self._reconcile(now, outputs)
        return outputs

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` wants to be called."""
        if self._stage is Stage.DONE or self._next_tick is None:
            return self._adoption.deadline
        deadlines = [d for w in self._fleet if (d := w.life.deadline) is not None]
        others = (self._spares.deadline, self._alteration.deadline, self._releases.deadline)
        deadlines += [due for due in (self._linger.until, *others) if due is not None]
        return min([self._next_tick, *deadlines])

    def handle_timeout(self, now: Instant) -> list[Output]:
        """Let time pass."""
        due = self.next_timeout()
        if due is None or now < due:
            return []
        outputs: list[Output] = []
        self._settle(now, outputs)
        for worker in self._fleet:
            if now - due >= LATE:
                worker.life.heard(now)
            if why := worker.life.overdue(now):
                outputs.append(Kill(worker.process, why))
        outputs += self._releases.overdue(now)
        if self._next_tick is not None and now >= self._next_tick:
            self._next_tick = self._distribution.repeat_at(self._fleet, now)
            self._distribution.repeat()
        self._reconcile(now, outputs)
        return outputs

    # --- events ---------------------------------------------------------------------------------

    def _settle(self, now: Instant, outputs: list[Output]) -> None:
        for output in self._adoption.advance(now):
            outputs.append(output)
            # Whatever cannot be started now, where workers serve it is no failed start.
            self._health.was_ready |= isinstance(output, Settled) and bool(output.adopted)

    def _start(self, event: StartRequested, now: Instant, outputs: list[Output]) -> None:
        self._running = True
        self._neighbours.listening = event.listening
        outputs += self._distribution.replace_links(event.links, self._fleet)
        self._next_tick = self._distribution.repeat_at(self._fleet, now)
        self._distribution.update_routes(self._fleet)
        for worker in self._adoption.to_greet():
            self._greet(worker, outputs)

    def _current(self, event: Started | SpawnFailed | Exited | Received) -> Worker | None:
        """The worker whose present process the event is about."""
        worker = self._fleet.get(event.process.name)
        if worker and worker.generation == event.process.generation and worker.life.has_process:
            return worker
        return None

    def _gone(self, worker: Worker, cause: str, code: int | None, now: Instant) -> None:
        wanted = self._goal(worker) is Goal.RUN
        farewell = worker.end_process()
        cause = f"{cause}: {farewell}" if farewell and code != 0 else cause
        worker.last_exit = cause
        worker.life.exited(cause, code, now, wanted=wanted)
        self._distribution.gone(worker)

    def _received(self, event: Received, now: Instant, outputs: list[Output]) -> bool:
        """Whether anything may follow from it."""
        worker = self._current(event)
        ours = range(self._first_generation, self._next_generation)
        leaves = event.process in self._releases
        if worker is None and (leaves or event.process.generation in ours):
            return False  # its last words were still on their way when it was gone
        if worker is None and (answers := self._adoption.greet(event)) is not None:
            outputs += answers
            return True
        why = refusal(worker, event)
        if why or worker is None:
            outputs.append(Reject(event.process, event.pid, why))
            return False
        worker.life.heard(now)
        match event.message:
            case Hello():
                worker.release = event.message.release
                self._greet(worker, outputs)
            case Ready() as ready:
                worker.serve(ready)
                if worker.life.state is WorkerState.STARTING:
                    worker.life.ready(now)
            case Heartbeat() as heartbeat:
                is_news = self._stage is not Stage.RUN or worker.sessions != heartbeat.sessions
                worker.sessions = heartbeat.sessions
                if self._stage is Stage.DRAIN_TRANSCEIVERS and worker.spec.role is Role.TRANSCEIVER:
                    self._linger.drained |= heartbeat.sessions > 0
                outputs.append(worker.send(heartbeat))
                by_itself = heartbeat.phase is WorkerPhase.DRAINING and worker.asked is Goal.RUN
                if by_itself and worker.life.state is WorkerState.READY:
                    worker.life.drain(now, until=None, why="was told to end by somebody else")
                    is_news = True
                return is_news
            case RoutesApplied() as applied:
                self._distribution.routes.acknowledge(worker.name, applied.serial)
            case RelaysApplied() as applied:
                self._distribution.links.acknowledge(worker.name, applied.serial)
            case FleetView() | IdsLeased() as news:
                outputs += self._neighbours.hear(news)
            case Released():
                if worker.life.state is WorkerState.RELEASING:
                    self._releases.add(worker.process, worker.pid)
                    worker.end_process()
                    worker.life.released(now)
                    self._distribution.gone(worker)
            case Farewell() as farewell:
                worker.farewell = farewell.why
            case _:
                assert_never(event.message)
        return True

    def _greet(self, worker: Worker, outputs: list[Output]) -> None:
        worker.welcomed = True
        outputs.append(worker.send(self._welcome))
        outputs += self._distribution.greet(worker, self._truth())

    # --- what follows ---------------------------------------------------------------------------

    def _reconcile(self, now: Instant, outputs: list[Output]) -> None:
        if not self._running or self._stage is Stage.DONE:
            return
        fleet = self._fleet
        starts = self._stage is Stage.RUN and not self._health.was_ready
        if starts and (outcome := failed_start(fleet)) is not None:
            self._outcome, self._stage = outcome, Stage.STOP_ALL
        outputs += self._distribution.update_links(fleet)
        outputs += self._distribution.update_routes(fleet)
        spare = self._spares.is_waiting(Role.RELAY) or not fleet.config.supervisor.spares
        outputs += self._alteration.advance(now, spare=spare, running=self._stage is Stage.RUN)
        # Before anybody is told to drain: a session that is offered elsewhere need not be offered twice.
        outputs += self._distribution.update_signaling(fleet, self._truth())
        outputs.extend(c for w in fleet if (c := w.change()) is not None)
        for worker in fleet:
            self._act(worker, now, outputs)
        outputs.extend(c for w in fleet if (c := w.change()) is not None)
        outputs += self._releases.let_go(fleet, now)
        outputs += self._alteration.clear_away()
        if self._cordon.keep([worker.name for worker in fleet if worker.stays]):
            outputs.append(self._cordon.value)
        self._judge(outputs)
        outputs += self._distribution.update_fleet(fleet, self.state.value, self.transceivers())
        running = self._stage is Stage.RUN
        outputs += self._spares.tend(fleet, now, running=running, started=self._health.was_ready)
        left = {w.spec.role for w in self._fleet if w.life.state is not WorkerState.STOPPED}
        following = next_stage(self._stage, left | ({Role.RELAY} if self._releases else set()))
        if following is not self._stage and not self._linger.holds(following, now):
            self._stage = following
            if following is Stage.DRAIN_RELAYS:
                self._hurry(Role.RELAY)
            if following is Stage.DONE:
                outputs.append(self._outcome)
            else:
                self._reconcile(now, outputs)

    def _act(self, worker: Worker, now: Instant, outputs: list[Output]) -> None:
        life, goal = worker.life, self._goal(worker)
        due = life.deadline is not None and now >= life.deadline
        match plan(goal, life.state, worker.asked, due=due):
            case Action.SPAWN if not self._neighbours.has_number(worker.spec):
                worker.note = WITHOUT_NUMBER
            case Action.SPAWN:
                generation = self._next_generation
                self._next_generation += 1
                worker.begin_process(generation, self._neighbours.route(worker.spec, generation))
                rolled = self._alteration.is_rolled(worker)
                life.spawn(now, CANARY_TIMEOUT if rolled else START_TIMEOUT)
                outputs.append(worker.spawn(self._spares.take(worker.spec.role)))
            case Action.DRAIN:
                worker.asked = Goal.DRAIN
                within = patience(worker, self._stage, self._fleet.config, self._linger.left(now))
                if worker.spec.role is Role.TRANSCEIVER:
                    self._linger.drained |= worker.sessions > 0
                why = "" if worker.stays else LEAVES[worker.spec.role]
                life.drain(now, until=now + within + DRAIN_GRACE, why=why)
                outputs.append(worker.send(Drain(within)))
            case Action.STOP:
                worker.asked = Goal.STOP
                life.drain(now, until=now + STOP_GRACE)
                outputs.append(worker.send(Stop()))
            case Action.KILL:
                life.drain(now, until=now + STOP_GRACE)
                worker.asked = Goal.STOP
                outputs.append(Kill(worker.process, "no longer needed"))
            case Action.RETIRE:
                life.retire(now)
            case None:
                pass

    def _hurry(self, role: Role) -> None:
        """Those that leave had more time than there is now."""
        for worker in self._fleet.leaving(role):
            worker.asked = Goal.RUN

    @property
    def _is_able(self) -> bool:
        return self._stage is Stage.RUN and self._health.was_ready

    def _goal(self, worker: Worker) -> Goal:
        goal, role = goal_of(self._stage, worker.spec.role), worker.spec.role
        leaving = self._fleet.leaving(Role.TRANSCEIVER) if role is Role.REALTIME else ()
        if any(transceiver.life.has_process for transceiver in leaving):
            return goal  # their sessions go on at it
        return worker.retire_by if goal is Goal.RUN else goal

    def _truth(self) -> Transceivers:
        draining = self._stage is not Stage.RUN or self._cordon.host
        return Transceivers(self.transceivers(), draining=draining)

    def _judge(self, outputs: list[Output]) -> None:
        planned, cordon = self._alteration.is_planned, self._cordon
        transceivers = self._fleet.of(Role.TRANSCEIVER)
        needed = {w.route for w in transceivers if not (planned(w) or cordon.covers(w.name))}
        serving = [w for w in self._fleet if w.spec.role not in ONLOOKERS]
        state = self._health.judge(
            self._stage,
            [w.life.state for w in serving if not planned(w)],
            accepting=all(e.accepting for e in self.transceivers() if e.route in needed),
            alone=bool(self.missing),
            cordoned=cordon.host,
        )
        if state is not None:
            outputs.append(ApplianceChanged(state))
