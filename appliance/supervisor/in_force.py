"""The configuration in force, on file: with it a supervisor goes on where another one died.

Live workers serve by these values, and sockets are bound by them. What the operator's file says meanwhile
is for a reload, which can refuse it without harm. The file is in the runtime directory, and goes when the
appliance is told to end.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from appliance.supervisor.configuration import read_file, read_text
from appliance.supervisor.directories import runtime_directory
from appliance.supervisor.names import IN_FORCE, WORKERS
from appliance.supervisor.own_keys import write_private
from appliance.supervisor.store import take_stored
from config.checks import find_contradictions
from config.dump import dump
from config.model import Config, SupervisorSection
from config.passed import parse_kept
from config.problems import ConfigError
from ipc import roster


class InForce:
    """The file."""

    def __init__(self, runtime: Path) -> None:
        self._path = runtime / IN_FORCE

    def read(self) -> Config | None:
        """What was in force; None if nobody knows, or this version cannot read it."""
        try:
            config = parse_kept(read_text(self._path))
        except (ConfigError, ValueError, RecursionError):
            return None
        return None if any(find_contradictions(config)) else config

    def keep(self, config: Config) -> None:
        """This is, from now on. Raises OSError."""
        draft = self._path.with_suffix(".new")
        write_private(draft, dump(config))
        draft.replace(self._path)

    def forget(self) -> None:
        """The appliance ends."""
        self._path.unlink(missing_ok=True)


class Beginning(NamedTuple):
    """What a supervisor starts with."""

    config: Config
    continues: bool = False
    """It is what was in force when another one died; the operator's file is still to be looked at."""
    stored: tuple[tuple[str, int], ...] = ()
    """Name and descriptor of what systemd has kept; ours to close."""


def begin(file: Path | None) -> Beginning:
    """The operator's file; or, if a dead supervisor's workers or sockets are there, what was in force.

    Raises ConfigError if the file is wrong and there is nothing to go on with.
    """
    stored = tuple(take_stored())
    problems: ConfigError | None = None
    section = SupervisorSection()
    wanted = None
    try:
        wanted = read_file(file)
        section = wanted.supervisor
    except ConfigError as error:
        problems = error
    runtime = runtime_directory(section)
    if stored or _anybody(runtime / WORKERS):
        kept = InForce(runtime).read()
        if kept is not None:
            return Beginning(kept, True, stored)
    if wanted is None:
        assert problems is not None
        for _, fd in stored:
            os.close(fd)
        raise problems
    return Beginning(wanted, False, stored)


def _anybody(workers: Path) -> bool:
    try:
        return workers.is_dir() and bool(roster.living(workers))
    except OSError:
        return False  # somebody else's; the start tells
