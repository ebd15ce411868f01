"""A machine of its own with a real systemd as PID 1, in namespaces: up in seconds, gone without a trace.

with booted() as machine:
    machine.run("systemctl", "start", "tandem")

It needs root, as a package manager and systemd do.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

BOOT: Final = Path(__file__).with_name("boot.sh")
WITHIN: Final = 90.0
"""Seconds that anything may take: far more than it does, for machines that are busy."""
_GROUPS: Final = (
    Path("/sys/fs/cgroup")
    if Path("/sys/fs/cgroup/cgroup.controllers").exists()
    else Path("/sys/fs/cgroup/unified")
)
"""The hierarchy of version 2."""
_ENVIRONMENT: Final = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "SYSTEMD_COLORS": "0",
    "SYSTEMD_PAGER": "cat",
    "DEBIAN_FRONTEND": "noninteractive",
}


class Machine:
    """A booted machine."""

    def __init__(self, leader: int) -> None:
        self.leader = leader
        """Its PID 1, as this host numbers it."""

    @property
    def root(self) -> Path:
        """Its root directory, as seen from here."""
        return Path(f"/proc/{self.leader}/root")

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root, and wait for it."""
        done = subprocess.run(
            self._inside(command),
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WITHIN,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(
                f"{command}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}\n"
                + self.journal()
            )
        return done

    @contextmanager
    def running(self, *command: str) -> Iterator[subprocess.Popen[str]]:
        """A command inside, as root, waited for at the end of the block; if that fails it is killed.

        What it is started by is its parent here, and takes it along.
        """
        with subprocess.Popen(
            self._inside(("setpriv", "--pdeathsig", "KILL", *command)),
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise

    def _inside(self, command: Sequence[str]) -> list[str]:
        return ["nsenter", "-t", str(self.leader), "--all", "--wdns=/", "--", *command]

    def read(self, *command: str) -> str:
        """What a command that succeeds prints."""
        return self.run(*command).stdout.strip()

    def json(self, *command: str) -> Any:
        """What a command that succeeds prints, as JSON."""
        return json.loads(self.run(*command).stdout)

    def show(self, unit: str, what: str) -> str:
        """One property of a unit."""
        return self.read("systemctl", "show", "--value", "--property", what, unit)

    def journal(self, unit: str = "tandem") -> str:
        """What a unit has logged."""
        return self.run("journalctl", "-q", "--no-pager", "-u", unit, check=False).stdout

    def install(self, package: Path) -> str:
        """Install or upgrade a package; what was said."""
        target = self.root / "root" / package.name
        shutil.copy(package, target)
        return self.read(
            "apt-get", "install", "-y", "-q", "--no-install-recommends", f"/root/{package.name}"
        )

    def processes(self, user: str) -> dict[int, str]:
        """Command lines of a user's processes, by their pid inside."""
        listed = self.run("ps", "-u", user, "-o", "pid=,args=", check=False).stdout.splitlines()
        return {int(pid): args for pid, args in (line.split(maxsplit=1) for line in listed)}

    def until(self, condition: Callable[[], Any], why: str) -> Any:
        """The first true thing the condition gives. Fails, with the journal, if none comes."""
        give_up = time.monotonic() + WITHIN
        while time.monotonic() < give_up:
            with suppress(json.JSONDecodeError, subprocess.TimeoutExpired):
                if found := condition():
                    return found
            time.sleep(0.1)
        raise AssertionError(f"not within {WITHIN} s: {why}\n{self.journal()}")


@contextmanager
def booted(root: Path = Path("/")) -> Iterator[Machine]:
    """A machine on this host's root, or another, that has finished booting; it ends, with all its
    processes, at the end of the block."""
    work = Path(tempfile.mkdtemp(prefix="machine-"))
    group = _GROUPS / work.name
    group.mkdir()
    join = f"echo $$ > {group}/cgroup.procs"
    spawn = "exec unshare --pid --mount --uts --ipc --net --cgroup --fork --kill-child=SIGKILL"
    with (work.with_suffix(".log")).open("w+b") as log:
        outside = subprocess.Popen(
            ["bash", "-euc", f"{join}; {spawn} bash {BOOT} {work} {root}"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            machine = Machine(_leader(outside, Path(log.name)))
            machine.run("systemctl", "is-system-running", "--wait", check=False)
            yield machine
        finally:
            outside.kill()  # and with it, by --kill-child, PID 1, and with that all the others
            outside.wait()
            work.with_suffix(".log").unlink()
            _remove(work, group)


def _leader(outside: subprocess.Popen[bytes], log: Path) -> int:
    """PID 1, once one can talk to it."""
    give_up = time.monotonic() + WITHIN
    children = Path(f"/proc/{outside.pid}/task/{outside.pid}/children")
    while time.monotonic() < give_up and outside.poll() is None:
        with suppress(OSError):
            for child in children.read_text().split():
                if Path(f"/proc/{child}/root/run/systemd/private").is_socket():
                    return int(child)
        time.sleep(0.05)
    raise AssertionError(f"the machine did not boot:\n{log.read_text()}")


def _remove(work: Path, group: Path) -> None:
    give_up = time.monotonic() + WITHIN
    for directory, _, _ in os.walk(group, topdown=False):
        while time.monotonic() < give_up:
            try:
                Path(directory).rmdir()
                break
            except OSError:  # the last processes are still on their way out
                time.sleep(0.05)
    work.rmdir()


def kill(machine: Machine, pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to a process, by its pid inside."""
    machine.run("kill", f"-{int(number)}", str(pid))
