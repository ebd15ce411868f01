"""`tandem reload` and `tandem config diff`: the file again, what differs, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from appliance.supervisor.configuration import read_file
from appliance.supervisor.core.interface import Reloaded, ReloadRequested
from appliance.supervisor.core.spec import HostFacts, desired_workers, one_more_relay
from appliance.supervisor.keys import UfragKeys, check_callers, load_keys
from appliance.supervisor.outfit import Outfitter
from appliance.supervisor.problems import CannotStart
from appliance.supervisor.shell import Shell
from appliance.supervisor.sockets import usable_cpus
from appliance.supervisor.turns import Turns
from config.change import Change, Effect, changes, merge, rolled
from config.checks import find_contradictions
from config.ids import Role
from config.load import load
from config.model import Config
from config.problems import ConfigError
from ipc.log import Logger
from ipc.messages.admin import ConfigChange, DiffRequest, ReloadReply, ReloadRequest

_APPLIED: Final = (Effect.LIVE, Effect.ROLL_WORKERS)


class Reloader:
    """Keeps the configuration in force; one reload at a time, the others wait."""

    def __init__(
        self,
        config: Config,
        file: Path | None,
        state: Path,
        shell: Shell,
        outfitter: Outfitter,
        log: Logger,
        turns: Turns,
        *,
        on_change: Callable[[Config], None],
    ) -> None:
        """`on_change` is called with a configuration that the workers serve by."""
        self._config = config
        self._file = file
        self._state = state
        self._shell = shell
        self._outfitter = outfitter
        self._log = log
        self._on_change = on_change
        self._turns = turns
        self.problems: tuple[str, ...] = ()
        """What was wrong with the file when it was read last."""

    async def reload(self, request: ReloadRequest) -> ReloadReply:
        """Read, compare, carry out; the answer comes when all that is over."""
        return await self._turns.take(partial(self._reload, request.roll))

    async def learn(self, keys: UfragKeys, roles: frozenset[Role]) -> str:
        """Replace the workers of these roles, so that they have these keys, too; gives the problem."""

        async def replace() -> str:
            self._outfitter.keyring.add(keys)
            workers = desired_workers(self._config, HostFacts(usable_cpus()))
            outcome = await self._shell.reload(ReloadRequested(self._config, workers, roles))
            return outcome.problem

        return await self._turns.take(replace)

    async def catch_up(self, roles: frozenset[Role]) -> None:
        """Look at the file after a start by what was in force, and replace workers of these roles, too."""
        await self._turns.take(partial(self._reload, False, roles))

    def compare(self, request: DiffRequest) -> ReloadReply:
        """What a reload with that file would do, and what is wrong with it; does nothing."""
        try:
            if request.text is None:
                wanted = read_file(self._file)
            else:
                wanted = load(request.text, source=request.source)
        except ConfigError as error:
            return ReloadReply(problems=tuple(map(str, error.problems)))
        differ = changes(self._config, wanted)
        told = tuple(map(_told, differ))
        try:
            self._check(merge(self._config, wanted, _APPLIED), differ)
        except CannotStart as error:
            return ReloadReply(problems=error.problems, changes=told)
        return ReloadReply(changes=told)

    async def _reload(self, forced: bool, also: frozenset[Role] = frozenset()) -> ReloadReply:
        reply = await self._carry_out(forced, also)
        self._tell(reply)
        return reply

    async def _carry_out(self, forced: bool, also: frozenset[Role]) -> ReloadReply:
        try:
            wanted = read_file(self._file)
        except ConfigError as error:
            return ReloadReply(problems=tuple(map(str, error.problems)))
        differ = changes(self._config, wanted)
        told = tuple(map(_told, differ))
        config = merge(self._config, wanted, _APPLIED)
        try:
            keys = self._check(config, differ)
        except CannotStart as error:
            return ReloadReply(problems=error.problems, changes=told)
        resized = await self._resize(merge(self._config, wanted, (Effect.LIVE,)))
        reply = ReloadReply(changes=told, added=resized.added, removed=resized.removed)
        if resized.problem:
            return msgspec.structs.replace(reply, given_up=resized.problem)
        roll = frozenset(Role) if forced else rolled(differ) | also
        if not roll and config == self._config:
            return reply
        self._outfitter.keyring.add(keys)
        host = HostFacts(usable_cpus())
        workers = desired_workers(config, host)
        relays = [spec for spec in workers if spec.role is Role.RELAY]
        if relays and Role.RELAY in roll:
            tried = await self._shell.rehearse(config, one_more_relay(relays, host))
            if tried.problem:
                return msgspec.structs.replace(reply, given_up=tried.problem)
        outcome = await self._shell.reload(ReloadRequested(config, workers, roll))
        if not outcome.problem:
            self._outfitter.drop_keys(keys)
            self._adopt(config)
        return msgspec.structs.replace(
            reply,
            replaced=outcome.replaced,
            given_up=outcome.problem,
            added=(*resized.added, *outcome.added),
            removed=(*resized.removed, *outcome.removed),
        )

    def _check(self, config: Config, differ: tuple[Change, ...]) -> UfragKeys:
        """The keys that it names. Raises CannotStart with what is wrong beyond the file itself."""
        if clashes := _clashes(config, differ):
            raise CannotStart(clashes)
        check_callers(config)
        keys = load_keys(config.ufrag, self._state)
        if clash := self._outfitter.keyring.clash(keys):
            raise CannotStart([clash])
        return keys

    async def _resize(self, config: Config) -> Reloaded:
        """First of all the number of relays, if that is another one."""
        if config.relay.workers == self._config.relay.workers:
            return Reloaded(())
        specs = desired_workers(config, HostFacts(usable_cpus()))
        relays = tuple(spec for spec in specs if spec.role is Role.RELAY)
        outcome = await self._shell.resize(config, relays)
        if not outcome.problem:
            self._adopt(config)
        return outcome

    def _adopt(self, config: Config) -> None:
        self._config = config
        self._on_change(config)

    def _tell(self, reply: ReloadReply) -> None:
        self.problems = reply.problems
        for problem in reply.problems:
            self._log.error("configuration not reloaded", why=problem)
        if not reply.problems:
            self._log.info(
                "configuration reloaded",
                changed=[change.key for change in reply.changes if change.effect != Effect.RESTART],
                after_restart=[c.key for c in reply.changes if c.effect == Effect.RESTART],
                replaced=list(reply.replaced),
                added=list(reply.added),
                removed=list(reply.removed),
                given_up=reply.given_up,
            )


def _told(change: Change) -> ConfigChange:
    roles = tuple(role.label for role in sorted(change.roles))
    return ConfigChange(change.key, change.old, change.new, change.effect.value, roles)


def _clashes(config: Config, differ: tuple[Change, ...]) -> tuple[str, ...]:
    """What is wrong with the part that can be had without a restart; nothing is, if that is all."""
    if not any(change.effect is Effect.RESTART for change in differ):
        return ()
    return tuple(
        f"{'.'.join(map(str, finding.path))} {finding.what} (as long as the appliance is not restarted)"
        for finding in find_contradictions(config)
    )
