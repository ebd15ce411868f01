"""A place where a disk can be full and datagrams can get lost: namespaces of our own.

The campaign goes there by executing itself anew, as root or as a user who is root in a user namespace. What
it mounts and filters there nobody else sees, and it is gone with its last process.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

LINK: Final = "127.0.0.7"
"""Link address of the appliance, that nothing else in the room uses."""
_INSIDE: Final = "TANDEM_CAMPAIGN_ROOM"
_UNSHARE: Final = ("unshare", "--mount", "--net", "--propagation", "private")
_AS_ROOT: Final = ("--user", "--map-root-user")


def enter(arguments: Sequence[str]) -> None:
    """Go on in there, as `python -m tests.campaign` with these arguments; returns if that cannot be."""
    if _INSIDE in os.environ:
        if is_inside():
            _run("ip", "link", "set", "lo", "up")
        return
    way = next((way for way in (_UNSHARE, (*_UNSHARE, *_AS_ROOT)) if _works(way)), None)
    os.environ[_INSIDE] = "yes" if way else "no"
    if way is not None:
        command = [*way, sys.executable, "-m", "tests.campaign", *arguments]
        os.execvp(command[0], command)


def is_inside() -> bool:
    """We are in there."""
    return os.environ.get(_INSIDE) == "yes"


def _works(way: Sequence[str]) -> bool:
    try:
        return not subprocess.run(
            [*way, "ip", "link", "set", "lo", "up"], capture_output=True
        ).returncode
    except OSError:
        return False


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


class SmallDisk:
    """A directory with room for little."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._fillers: list[Path] = []
        _run(
            "mount", "-t", "tmpfs", "-o", "size=4m,nr_inodes=400,mode=0700", "small", str(directory)
        )

    def fill(self) -> None:
        """No byte more fits."""
        filler = self._directory / ".filler"
        self._fillers.append(filler)
        with filler.open("wb", buffering=0) as file:
            for size in (65_536, 1):
                try:
                    while file.write(bytes(size)):
                        pass
                except OSError:
                    continue

    def fill_with_files(self) -> None:
        """No file more fits."""
        for number in range(10_000):
            filler = self._directory / f".filler-{number}"
            try:
                filler.touch()
            except OSError:
                return
            self._fillers.append(filler)

    def free(self) -> None:
        """There is room again."""
        for filler in self._fillers:
            filler.unlink(missing_ok=True)
        self._fillers.clear()

    def close(self) -> None:
        """Behind you, with all that is on it."""
        subprocess.run(["umount", "-l", str(self._directory)], check=False, capture_output=True)


class LossyLink:
    """What relays and transceivers say to each other gets lost, when it is said."""

    _TABLE: Final = ("inet", "link")

    def begin(self) -> None:
        """A fifth of it, from now on."""
        hook = "{ type filter hook input priority 0; }"
        udp = ("meta", "l4proto", "udp")
        _run("nft", "add", "table", *self._TABLE)
        _run("nft", "add", "chain", *self._TABLE, "loss", hook)
        dice = ("numgen", "random", "mod", "100", "<", "20", "drop")
        _run("nft", "add", "rule", *self._TABLE, "loss", "ip", "daddr", LINK, *udp, *dice)

    def end(self) -> None:
        """Everything arrives."""
        subprocess.run(["nft", "delete", "table", *self._TABLE], check=False, capture_output=True)


@cache
def why_no_lossy_link() -> str:
    """Empty if it can be had here."""
    if not is_inside():
        return "needs namespaces (root, or user namespaces)"
    if shutil.which("nft") is None:
        return "needs nft"
    link = LossyLink()
    try:
        link.begin()
    except subprocess.CalledProcessError:
        return "needs a kernel with nft's numgen"
    finally:
        link.end()
    return ""
