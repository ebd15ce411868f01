"""`tandem upgrade`, the supervisor's part of it: become the version that is installed, in place.

The supervisor executes itself anew, with the process id that it has: systemd need not know, and the workers
stay its children. They notice as little as when a supervisor dies: they serve on, and the new one adopts
them. What comes after that, workers of the new version in their places, is a reload like any other.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

from appliance.supervisor.preflight import Installed, installed
from ipc.log import Logger
from ipc.messages.admin import Failure, UpgradeReply, UpgradeRequest
from ipc.messages.lifecycle import PROTOCOL_VERSION
from ipc.release import release

ENDING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Held back while nobody is there who knows what they mean."""


class Upgrader:
    """Looks at what is installed before it lets go."""

    def __init__(
        self,
        file: Path | None,
        log: Logger,
        *,
        refusal: Callable[[], str],
        leave: Callable[[], None],
    ) -> None:
        """`refusal` says why this is no moment for it; `leave` ends this supervisor, but no worker."""
        self._file = file
        self._log = log
        self._refusal = refusal
        self._leave = leave

    async def upgrade(self, request: UpgradeRequest) -> UpgradeReply | Failure:
        """Begin, unless there is something against it; the reply comes before the end."""
        found = await installed(self._file, dict(os.environ))
        reply = UpgradeReply(running=release(), installed=found.release)
        problems = found.problems or self._problems(found)
        if problems:
            self._log.error("not upgraded", to=found.release, why="; ".join(problems))
            return UpgradeReply(running=release(), installed=found.release, problems=problems)
        if found.release == release() and not request.force:
            return reply
        self._log.info("upgrading", to=found.release, since=release())
        self._leave()
        return UpgradeReply(running=release(), installed=found.release, leaving=True)

    def _problems(self, found: Installed) -> tuple[str, ...]:
        if found.protocol != PROTOCOL_VERSION:
            return (_skew(found),)
        why = self._refusal()
        return (why,) if why else ()


def _skew(found: Installed) -> str:
    return (
        f"{found.release} speaks version {found.protocol} among its processes, and {release()} version"
        f" {PROTOCOL_VERSION}: they cannot live side by side; drain and restart"
    )


def execute_anew() -> NoReturn:
    """Become the program that is installed, with the arguments and the process id that we have.

    Everything we have open is closed by that. Raises OSError if it is not to be executed.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - no shell is wanted
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
