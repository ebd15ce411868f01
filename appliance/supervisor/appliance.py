"""One run of the appliance: what must outlive workers is held, and they are kept running.

    lock, keys, sockets for messages -> addresses bound -> workers started -> ready -> SIGTERM: drain -> end

The decisions are made in core/, carried out in shell.py; here is what both stand on.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import trio

from appliance.supervisor.addresses import advertised, own_addresses
from appliance.supervisor.core.health import ApplianceState
from appliance.supervisor.core.interface import DrainRequested, StartRequested, StopRequested
from appliance.supervisor.core.spec import HostFacts, desired_workers
from appliance.supervisor.core.supervisor import Supervisor
from appliance.supervisor.directories import (
    ADMIN_SOCKET,
    SupervisorLock,
)
from appliance.supervisor.events import EventDesk
from appliance.supervisor.generations import Generations
from appliance.supervisor.in_force import Beginning, InForce
from appliance.supervisor.inquiry import Inquiry
from appliance.supervisor.keys import check_callers, load_keys
from appliance.supervisor.membership import Membership
from appliance.supervisor.notify import (
    MANAGED,
    keep_watchdog,
    notify,
    notify_reloading,
    watchdog_interval,
)
from appliance.supervisor.orders import Orders
from appliance.supervisor.outfit import Outfitter
from appliance.supervisor.problems import EXIT_OK, EXIT_UNAVAILABLE, CannotStart
from appliance.supervisor.reload import Reloader
from appliance.supervisor.remote import Remote
from appliance.supervisor.rotation import KeyDesk
from appliance.supervisor.shell import Shell
from appliance.supervisor.sockets import usable_cpus
from appliance.supervisor.status import AdminDesk
from appliance.supervisor.survivors import Survivors
from appliance.supervisor.terms import Terms
from appliance.supervisor.turns import Turns
from appliance.supervisor.upgrade import ENDING, Upgrader
from config.ids import Endpoint, Role
from config.model import Config
from ipc.bus import Subscriber
from ipc.control import ControlServer
from ipc.log import Logger
from ipc.lost import Losses
from ipc.messages.admin import ReloadRequest, StatusReply
from ipc.release import release
from ipc.rpc import RpcServer
from ipc.usage import usage
from ipc.zmq_trio import EndpointError

STALE_WORKERS_LEAVE: Final = 10.0
"""Seconds to wait for addresses that the workers of a dead supervisor may still hold."""
ADMIN_WITHIN: Final = 600.0
"""Seconds an operator's request may take: some hosts have many workers to replace."""
_BIND_AGAIN: Final = 0.2
ANSWER_LEAVES: Final = 0.2
"""Seconds; an answer that does not arrive is no harm: who asked looks what has become of it."""
_CONTROL: Final = "control.sock"
_BUS: Final = "bus.sock"


class Appliance:
    """One run of the appliance."""

    def __init__(
        self,
        beginning: Beginning,
        config_path: Path | None,
        runtime: Path,
        workers: Path,
        state: Path,
        lock: SupervisorLock,
        log: Logger,
        on_ready: Callable[[str], None],
    ) -> None:
        self._beginning = beginning
        self._config = config = beginning.config
        self._in_force = InForce(runtime)
        self._problems: Callable[[], tuple[str, ...]] = tuple
        """Those of the operator's file."""
        self._config_path = config_path and config_path.absolute()
        self._state_directory = state
        self._log = log
        self._on_ready = on_ready
        self._since = 0.0
        self._lost = Losses()
        self.is_upgrading = False
        """It has ended to be executed anew; its workers have not."""
        self._warnings: list[str] = []
        self._control = f"ipc://{workers / _CONTROL}"
        self._bus = f"ipc://{workers / _BUS}"
        self._admin = f"ipc://{runtime / ADMIN_SOCKET}"
        generations = Generations(state)
        if generations.was_lost:
            self._warn("the count of processes was damaged and began anew")
        self._survivors = Survivors(workers, log)
        self._patience = STALE_WORKERS_LEAVE if self._survivors.processes else 0.0
        specs = desired_workers(config, HostFacts(usable_cpus()))
        self._relays = sum(spec.role is Role.RELAY for spec in specs)
        heir = lock.predecessor_died or bool(self._survivors.processes)
        self._orders = Orders(runtime, heir=heir)
        self._membership = Membership(state, config.cluster.id)
        self._core = Supervisor(
            config,
            specs,
            supervisor_pid=os.getpid(),
            next_generation=generations.next,
            cordons=self._orders.cordons,
            host=self._membership.host,
            ids=self._membership.ids,
            view=self._membership.view,
        )
        check_callers(config)
        self._outfitter = Outfitter(
            load_keys(config.ufrag, state),
            generations,
            workers,
            control=self._control,
            bus=self._bus,
            host=self._membership.host,
            admin=self._admin,
        )

    async def run(self) -> int:
        """Until it is told to end, or gives up: the exit code. Raises CannotStart."""
        self._since = trio.current_time()
        with ExitStack() as stack:
            signals = stack.enter_context(trio.open_signal_receiver(*_ending_signals()))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)  # an upgrade has held them back
            try:
                control = stack.enter_context(ControlServer(self._control, self._lost))
                bus = stack.enter_context(Subscriber(self._bus, lost=self._lost))
                admin = stack.enter_context(
                    RpcServer(
                        self._admin,
                        log=self._log,
                        mode=0o660,
                        within=ADMIN_WITHIN,
                        lost=self._lost,
                    )
                )
                remote = stack.enter_context(
                    Remote(
                        self._config.admin.listen,
                        lambda: self._config.admin.clients,
                        self._state_directory,
                        within=ADMIN_WITHIN,
                        log=self._log,
                        lost=self._lost,
                    )
                )
            except EndpointError as error:
                raise CannotStart([str(error)], EXIT_UNAVAILABLE) from None
            stack.callback(self._outfitter.close)
            async with trio.open_nursery() as nursery:
                shell = Shell(
                    self._core,
                    control,
                    self._outfitter,
                    nursery,
                    self._log,
                    self._orders,
                    self._survivors,
                )
                reloader = Reloader(
                    self._config,
                    self._config_path,
                    self._state_directory,
                    shell,
                    self._outfitter,
                    self._log,
                    Turns(nursery),
                    on_change=self._work_with,
                )
                self._problems = lambda: reloader.problems
                core, cluster = self._core, self._config.cluster.id
                inquiry = Inquiry(core.places, core.hosts, cluster, self._log)
                keys = KeyDesk(
                    lambda: self._config,
                    self._state_directory,
                    self._outfitter,
                    reloader.learn,
                    self._log,
                )
                events = EventDesk()
                upgrader = Upgrader(
                    self._config_path,
                    self._log,
                    refusal=self._core.why_not_able,
                    leave=partial(nursery.start_soon, self._leave, shell),
                )
                desk = AdminDesk(
                    self._status,
                    inquiry,
                    reloader.reload,
                    reloader.compare,
                    shell.cordon,
                    events,
                    keys.answer,
                    upgrader.upgrade,
                )
                shell.on_exit, shell.on_change = desk.forget_stats, events.note_change
                shell.on_membership = self._membership.keep
                if (interval := watchdog_interval()) is not None:
                    nursery.start_soon(keep_watchdog, interval)
                begin_reload = partial(nursery.start_soon, self._reload, reloader)
                nursery.start_soon(self._hear_signals, signals, shell, begin_reload)
                nursery.start_soon(shell.listen)
                nursery.start_soon(shell.keep_time)
                nursery.start_soon(self._collect, bus, desk, events)
                nursery.start_soon(admin.serve, desk.answer)
                nursery.start_soon(remote.serve, desk.answer)
                nursery.start_soon(self._start, shell, reloader)
                await shell.finished.wait()
                nursery.cancel_scope.cancel()
            shell.end_spares()
        if self.is_upgrading:
            return EXIT_OK
        self._orders.forget()
        if shell.outcome.why:
            self._log.error("gave up", why=shell.outcome.why)
        return shell.outcome.code

    async def _start(self, shell: Shell, reloader: Reloader) -> None:
        """Adopt, bind, start the workers that are missing, and tell when they serve."""
        async with trio.open_nursery() as claims:
            if self._survivors.processes:
                terms = Terms(self._config, self._outfitter.keyring)
                await claims.start(self._survivors.listen, shell.feed, terms)
                await shell.adopt_survivors()
            claims.cancel_scope.cancel()
        begun = self._beginning
        self._outfitter.take_stored(begun.stored, fits=begun.continues)
        await self._bind()
        sockets = self._outfitter.sockets
        for warning in sockets.warnings:
            self._warn(warning)
        if warning := sockets.buffer_warning():
            self._log.warning("note", why=warning)
        listening = advertised((), sockets.listening())
        shell.feed(StartRequested(sockets.link_addresses(), listening))
        await shell.until_started()
        if self._core.state is ApplianceState.DRAINING:
            return  # told to end, or gave up
        page = page_url([bound.endpoint for bound in sockets.http])
        seconds = round(trio.current_time() - self._since, 3)
        self._log.info("serving", page=page, state=self._core.state.value, after=seconds)
        self._keep_in_force()
        notify("READY=1", f"STATUS={', '.join(filter(None, (self._core.state.value, page)))}")
        self._on_ready(page)
        if begun.continues:
            await reloader.catch_up(self._core.outdated)

    async def _bind(self) -> None:
        """Bind everything; wait a little where a dead supervisor's workers may be in the way.

        Those that are of no use were told so on the control socket, and leave.
        """
        give_up = trio.current_time() + self._patience
        told = False
        while True:
            try:
                self._outfitter.open(self._config, own_addresses(), self._relays)
                return
            except CannotStart as error:
                if error.code != EXIT_UNAVAILABLE or trio.current_time() >= give_up:
                    raise
                if not told:
                    told = True
                    self._log.warning("waiting for addresses", why="; ".join(error.problems))
            await trio.sleep(_BIND_AGAIN)

    async def _hear_signals(
        self, signals: AsyncIterator[int], shell: Shell, begin_reload: Callable[[], None]
    ) -> None:
        draining = False
        async for number in signals:
            if number == signal.SIGHUP and MANAGED in os.environ:
                begin_reload()
                continue
            what = "stop" if draining else "drain"
            self._log.info(what, because=signal.Signals(number).name)
            notify("STOPPING=1")
            # The next start is one by the operator's file.
            self._in_force.forget()
            self._outfitter.end_store()
            shell.feed(StopRequested() if draining else DrainRequested())
            draining = True

    async def _reload(self, reloader: Reloader) -> None:
        """A service manager has asked for it; what comes of it is in the log."""
        if why := self._unable():
            self._log.warning("not reloaded", why=why)
            return
        notify_reloading()
        await reloader.reload(ReloadRequest())
        if not self._unable():
            notify("READY=1")

    def _unable(self) -> str:
        state = self._core.state
        starts_or_ends = state in (ApplianceState.STARTING, ApplianceState.DRAINING)
        return f"the appliance is {state.value}" if starts_or_ends else ""

    async def _leave(self, shell: Shell) -> None:
        """End this supervisor but none of its workers, as soon as the operator has his answer."""
        notify("STATUS=upgrading")
        await trio.sleep(ANSWER_LEAVES)
        if why := self._unable():  # told to end meanwhile: who comes next would not know
            self._log.warning("not upgraded", why=why)
            return
        self.is_upgrading = True
        shell.finished.set()

    async def _collect(self, bus: Subscriber, desk: AdminDesk, events: EventDesk) -> None:
        async for message in bus:
            desk.keep_stats(message)
            events.hear(message)

    def _status(self) -> StatusReply:
        now = trio.current_time()
        buffers = self._outfitter.sockets.buffer_warning()
        answers = self._config.has_transceivers
        return StatusReply(
            version=release(),
            pid=os.getpid(),
            state=self._core.state.value,
            uptime=now - self._since,
            page=page_url([bound.endpoint for bound in self._outfitter.sockets.http]),
            listen=self._outfitter.sockets.listening(),
            advertise=self._outfitter.advertise(self._config) if answers else (),
            advertise_tcp=self._outfitter.advertise_tcp(self._config) if answers else (),
            workers=self._core.workers(now),
            warnings=(
                *filter(None, [self._core.missing]),
                *self._warnings,
                *(f"not in force: {problem}" for problem in self._problems()),
                *([buffers] if buffers else []),
            ),
            spares=self._core.spares(),
            cordoned=self._core.is_cordoned,
            usage=usage(self._lost),
            ops=page_url(self._config.ops.listen) if self._config.ops.listen else "",
        )

    def _work_with(self, config: Config) -> None:
        """A reload was carried out."""
        if config.relay.receive_buffer != self._config.relay.receive_buffer:
            self._outfitter.sockets.resize(config.relay.receive_buffer)
        self._config = config
        self._keep_in_force()

    def _keep_in_force(self) -> None:
        try:
            self._in_force.keep(self._config)
        except OSError as error:
            self._log.warning("configuration not kept", why=str(error))

    def _warn(self, warning: str) -> None:
        self._warnings.append(warning)
        self._log.warning("note", why=warning)


def _ending_signals() -> list[signal.Signals]:
    """A closed terminal drains us too, unless we were started with nohup; a service manager has none."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGTERM, signal.SIGINT, *([] if ignored else [signal.SIGHUP])]


def page_url(http: Sequence[Endpoint]) -> str:
    """URL of the page there as somebody on this machine would open it; empty if there is none."""
    if not http:
        return ""
    first = http[0]
    if ip_address(first.host).is_unspecified:
        first = Endpoint("::1" if first.is_ipv6 else "127.0.0.1", first.port)
    return f"http://{first}/"
