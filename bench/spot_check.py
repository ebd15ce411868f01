"""Whether what a contender sends back is what was said, by a client that shares no code with our caller."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench.placement import placed

CLEAR: Final = 0.5
"""How much of what came back must be the tone: of silence or noise next to nothing is."""
_ROOT: Final = Path(__file__).parent.parent


class Spotter:
    """One call at a time, beside the load."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def call(self, url: str) -> None:
        """Begin to speak there."""
        self._say(url)

    def verdict(self) -> str:
        """End the call: empty if its tone has come back lately, else what came instead."""
        self._say("")
        assert self._process.stdout is not None
        return judge(json.loads(self._process.stdout.readline()))

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()


def judge(told: dict[str, Any]) -> str:
    """Empty if all is well."""
    if told["state"] == "connected" and told["frames"] and told["tone"] >= CLEAR:
        return ""
    return f"{told['state'] or 'no call'}, {told['frames']} frames, tone {told['tone']:.2f}"


@contextmanager
def spotting(python: str, cpu: int, nice: int) -> Iterator[Spotter]:
    """aiortc, in that environment, on that CPU; ended behind you."""
    command = placed([python, "-m", "bench.peers.aiortc_caller"], cpu, nice)
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=_ROOT, start_new_session=True, **pipes) as process:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise SystemExit("the independent client did not start")
        try:
            yield Spotter(process)
        finally:
            process.terminate()
