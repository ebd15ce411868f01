"""Where the appliance keeps its sockets and its state, and that only one uses a place at a time.

<runtime>/supervisor.lock     held while a supervisor lives; has its pid
<runtime>/admin.sock          for operators
<runtime>/in-force.toml       the configuration in force, for the next supervisor if this one dies
<runtime>/cordons.json        what was drained by an operator, likewise
<runtime>/workers/            0700: sockets between supervisor and workers, and their roster
<state>/ufrag.key[.ID]        the host's own keys, if the configuration names none
<state>/admin.key             the host's own for operators elsewhere
<state>/generation            the last number that was set aside for a process
<state>/host, numbers, hosts  what this host is in a fleet, and whom it knows there (membership.py)
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from appliance.supervisor.names import WORKERS
from appliance.supervisor.problems import EXIT_UNAVAILABLE, CannotStart
from config.model import SupervisorSection

ADMIN_SOCKET: Final = "admin.sock"
_LOCK: Final = "supervisor.lock"
_MAX_SOCKET_PATH: Final = 107
_LONGEST_SOCKET: Final = "workers/transceiver-255-9999999.rpc"
_SYSTEM: Final = Path("/run/tandem")
_SYSTEM_STATE: Final = Path("/var/lib/tandem")
"""Where systemd keeps what the unit calls its StateDirectory."""


def runtime_directory(section: SupervisorSection, environ: Mapping[str, str] = os.environ) -> Path:
    """Where a supervisor started now would keep its sockets."""
    return _runtime_candidates(section, environ)[0]


def find_admin_socket(section: SupervisorSection, environ: Mapping[str, str] = os.environ) -> Path:
    """The operators' socket of a running appliance: the first that exists, else the likeliest."""
    candidates = [d / ADMIN_SOCKET for d in (*_runtime_candidates(section, environ), _SYSTEM)]
    if section.runtime_directory:
        return candidates[0]
    return next((path for path in candidates if is_there(path)), candidates[0])


def is_there(path: Path) -> bool:
    """There is a socket."""
    try:
        return path.is_socket()
    except PermissionError:
        return True  # somebody else's appliance; asking it tells why not


def state_directory(section: SupervisorSection, environ: Mapping[str, str] = os.environ) -> Path:
    """Where things are kept that survive a reboot."""
    if section.state_directory:
        return Path(section.state_directory).absolute()
    if given := environ.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0])
    if given := environ.get("XDG_STATE_HOME"):
        return Path(given) / "tandem"
    return Path("~/.local/state/tandem").expanduser()


def find_state(section: SupervisorSection, environ: Mapping[str, str] = os.environ) -> Path:
    """The state directory of the appliance that an operator means.

    systemd tells the unit where it is, and nobody else: without a word about it in the configuration it is
    the unit's, unless the appliance that runs is another user's, or none runs and only ours is there.
    """
    own = state_directory(section, environ)
    if section.state_directory or "STATE_DIRECTORY" in environ:
        return own
    try:
        owner = _SYSTEM_STATE.stat().st_uid
    except OSError:
        return own
    try:
        return _SYSTEM_STATE if find_admin_socket(section, environ).stat().st_uid == owner else own
    except OSError:
        return own if own.exists() else _SYSTEM_STATE


def _runtime_candidates(section: SupervisorSection, environ: Mapping[str, str]) -> list[Path]:
    if section.runtime_directory:
        return [Path(section.runtime_directory).absolute()]
    if given := environ.get("RUNTIME_DIRECTORY"):
        return [Path(given.split(":")[0])]
    if os.geteuid() == 0:
        return [_SYSTEM]
    if given := environ.get("XDG_RUNTIME_DIR"):
        return [Path(given) / "tandem"]
    return [Path(tempfile.gettempdir()) / f"tandem-{os.geteuid()}"]


def prepare_runtime(directory: Path) -> Path:
    """Make the runtime directory and its `workers/`, which is returned. Raises CannotStart."""
    longest = len(os.fsencode(directory / _LONGEST_SOCKET))
    if longest > _MAX_SOCKET_PATH:
        excess = longest - _MAX_SOCKET_PATH
        raise CannotStart(
            [
                f"supervisor.runtime_directory: {directory} is {excess} bytes too long for its sockets"
            ]
        )
    _make_private(directory, "supervisor.runtime_directory", 0o750)
    workers = directory / WORKERS
    _make_private(workers, "supervisor.runtime_directory", 0o700)
    if stat.S_IMODE(workers.stat().st_mode) != 0o700:
        workers.chmod(0o700)
    return workers


def prepare_state(directory: Path) -> None:
    """Make the state directory. Raises CannotStart."""
    _make_private(directory, "supervisor.state_directory", 0o700)


def _make_private(directory: Path, path: str, mode: int) -> None:
    """Make a directory that nobody else can write to, or check that it is one."""
    try:
        directory.mkdir(mode, parents=True, exist_ok=True)
        found = directory.stat(follow_symlinks=True)
    except OSError as error:
        raise CannotStart([f"{path}: {directory} cannot be made: {error.strerror}"]) from None
    if found.st_uid not in (os.geteuid(), 0):
        raise CannotStart([f"{path}: {directory} belongs to user {found.st_uid}, not to us"])
    if found.st_mode & stat.S_IWOTH:
        raise CannotStart([f"{path}: everybody may write to {directory}; it must be ours alone"])
    if not os.access(directory, os.W_OK | os.X_OK):
        raise CannotStart([f"{path}: {directory} is not writable for us"])


class SupervisorLock:
    """Held by the one supervisor of a runtime directory; let go by the kernel when it dies."""

    def __init__(self, directory: Path) -> None:
        """Take the lock. Raises CannotStart if another supervisor has it."""
        self._file = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(self._file, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(self._file)
            why = (
                f"another supervisor (process {owner}) already runs in {directory}; "
                "stop it, or give this one another supervisor.runtime_directory"
            )
            raise CannotStart([why], EXIT_UNAVAILABLE) from None
        self.predecessor_died = bool(os.read(self._file, 1))
        """The last supervisor here did not end in order: its workers may still be about."""
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        """Let go, leaving word that everything ended in order."""
        os.ftruncate(self._file, 0)
        os.close(self._file)
