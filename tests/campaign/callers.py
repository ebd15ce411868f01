"""Processes with calls."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import suppress
from itertools import count
from typing import Final

import msgspec
import trio

from tests.campaign.judge import Attempt, Group
from tests.support.appliance import TREE
from workers.caller.call import GRACE

CONNECTED_WITHIN: Final = 90.0
PATIENCE: Final = 10.0
"""Seconds in which a message that was lost on the way comes once more, on a machine that is busy."""
ENDED_WITHIN: Final = 150.0
_NUMBERS: Final = count(0, 1 << 20)
"""Of first calls: no process has so many."""


class Caller:
    """One of them."""

    def __init__(
        self,
        name: str,
        url: str,
        calls: int,
        *,
        speaks: bool = True,
        ports: str = "",
        keeps_messages: bool = True,
    ) -> None:
        self.name = name
        self._keeps_messages = keeps_messages
        how = "speak" if speaks else "write"
        patience = PATIENCE if keeps_messages else GRACE
        command = [sys.executable, "-m", "tests.campaign.calls", url, str(calls)]
        command += [str(next(_NUMBERS)), how, str(patience), *([ports] if ports else [])]
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            cwd=TREE,
            text=True,
        )

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    async def connected(self) -> None:
        """Wait until all of its calls are."""
        stream = self._process.stdout
        assert stream is not None
        line = ""
        with trio.move_on_after(CONNECTED_WITHIN):
            line = await trio.to_thread.run_sync(stream.readline, abandon_on_cancel=True)
        assert line == "connected\n", f"{self.name}: not all calls connected: {line!r}"

    async def end(self) -> Group:
        """Hang up, and tell what became of the calls."""
        self._process.send_signal(signal.SIGINT)
        out = ""
        with trio.move_on_after(ENDED_WITHIN):
            out, _ = await trio.to_thread.run_sync(
                self._process.communicate, abandon_on_cancel=True
            )
        assert out, f"{self.name}: its process did not end"
        attempts = msgspec.convert(json.loads(out), tuple[Attempt, ...])
        return Group(self.name, attempts, self._keeps_messages)

    def kill(self) -> None:
        """Behind you."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGCONT)
        self._process.kill()
        self._process.wait()
