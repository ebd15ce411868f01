"""The appliance's first process, from its lock to its exit code; between the two it is an `Appliance`."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import trio

from appliance.supervisor.appliance import Appliance
from appliance.supervisor.directories import (
    SupervisorLock,
    prepare_runtime,
    prepare_state,
    runtime_directory,
    state_directory,
)
from appliance.supervisor.in_force import Beginning
from appliance.supervisor.problems import EXIT_BUG, CannotStart
from appliance.supervisor.upgrade import execute_anew
from ipc import zmq_trio
from ipc.descriptors import allow_descriptors
from ipc.log import open_log
from ipc.release import release


def run(
    beginning: Beginning,
    *,
    config_path: Path | None = None,
    on_ready: Callable[[str], None],
) -> int:
    """Be the appliance until it is told to end; gives the exit code.

    `on_ready` is called once with the URL of the page, when everything serves.
    """
    config = beginning.config
    log = open_log(config.log, "supervisor")
    log.info("starting", version=release(), config=str(config_path or "defaults"))
    runtime = runtime_directory(config.supervisor)
    state = state_directory(config.supervisor)
    lock: SupervisorLock | None = None
    appliance: Appliance | None = None
    # Keys are in our memory and our workers', which inherit this.
    allow_descriptors()
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    try:
        workers = prepare_runtime(runtime)
        prepare_state(state)
        lock = SupervisorLock(runtime)
        appliance = Appliance(beginning, config_path, runtime, workers, state, lock, log, on_ready)
        code = trio.run(appliance.run)
    except* CannotStart as group:
        problem = _first(group)
        for why in problem.problems:
            log.error("cannot start", why=why)
        code = problem.code
    except* Exception:  # the workers serve on; the next supervisor takes their place
        log.exception("supervisor failed")
        code = EXIT_BUG
    finally:
        zmq_trio.shut_down()
    if appliance is not None and appliance.is_upgrading:
        try:
            execute_anew()
        except OSError as error:  # the service manager starts it, or an operator does
            log.error("not executed", why=str(error))
            return EXIT_BUG
    if lock is not None and code != EXIT_BUG:
        lock.release()
    log.info("ended", code=code)
    return code


def _first(group: BaseExceptionGroup[CannotStart]) -> CannotStart:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
