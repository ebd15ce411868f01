"""What all floods of the overload bench have in common: who floods, and what is looked at."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench.appliance import Appliance, call, free_port
from bench.signaling import OFFER
from bench.usage import resident
from workers.caller.source import FRAME_SECONDS

_TREE: Final = Path(__file__).parent.parent


def one_of_each(**more: Mapping[str, float]) -> str:
    """Configuration of an appliance with one relay and one transceiver; `more` by section."""
    sections: dict[str, dict[str, object]] = {
        "relay": {"listen": [f"127.0.0.1:{free_port()}"], "workers": 1},
        "transceiver": {"workers": 1},
    }
    lines: list[str] = []
    for name, values in sections.items():
        lines.append(f"[{name}]")
        lines += [
            f"{key} = {json.dumps(value)}"
            for key, value in (values | {**more.get(name, {})}).items()
        ]
    return "\n".join(lines) + "\n"


class Poster(threading.Thread):
    """Posts offers until told to end, and follows none up."""

    def __init__(self, host: str, end: float) -> None:
        super().__init__()
        self._host, self._end = host, end
        self.answers: list[tuple[int, float]] = []
        """Status and seconds."""

    def run(self) -> None:
        """As fast as there are answers."""
        connection = http.client.HTTPConnection(self._host, timeout=30)
        while time.perf_counter() < self._end:
            began = time.perf_counter()
            try:
                connection.request(
                    "POST", "/v1/realtime/calls", OFFER, {"Content-Type": "application/sdp"}
                )
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                continue
            self.answers.append((response.status, time.perf_counter() - began))
        connection.close()


def figures(answers: list[tuple[int, float]], seconds: float) -> dict[str, float | None]:
    """What a flood's answers say."""
    refused = sorted(took for status, took in answers if status == 503)
    return {
        "per_second": round(len(answers) / seconds, 1),
        "refused_share": round(len(refused) / len(answers), 3) if answers else None,
        "refused_p99_ms": round(1000 * refused[len(refused) * 99 // 100], 1) if refused else None,
    }


def live(report: dict[str, Any]) -> dict[str, float]:
    """What the calls that talked had to bear."""
    return {
        "live_loss": round(report["packets_lost"] / report["packets_sent"], 5),
        "live_failed": report["sessions_failed"],
    }


def share_refused(report: dict[str, Any]) -> float:
    """Of the calls of a report, those that were answered 503."""
    refused: int = sum(each["count"] for each in report["errors"] if "503" in each["error"])
    count: int = report["sessions_ok"] + report["sessions_failed"]
    return round(refused / count, 3)


def largest(appliance: Appliance) -> int:
    """Resident bytes of the largest worker."""
    return max(resident(worker.pid) for worker in appliance.status().workers if worker.pid)


def recovered(appliance: Appliance) -> float:
    """Milliseconds from now until a call connects."""
    began = time.monotonic()
    while time.monotonic() - began < 30:
        if call(appliance.url, count=1, seconds=0.1).report()["sessions_ok"]:
            break
    return round(1000 * (time.monotonic() - began), 1)


def crowd(
    appliance: Appliance,
    report: dict[str, Any],
    answers: Mapping[str, float | None],
    before: int,
    quiet: float,
) -> dict[str, Any]:
    """What became of a crowd of calls that has just hung up, and of the appliance after it.

    `answers` to the client beside them; `before` them: the largest worker and how long a call took.
    """
    return {
        "let_in": report["sessions_ok"],
        "refused_share": share_refused(report),
        "refused_p99_ms": answers["refused_p99_ms"],
        "recovered_ms": recovered(appliance),
        "quiet_ms": quiet,
        "grown_mb": round((largest(appliance) - before) / 1e6, 1),
    }


def posted(appliance: Appliance, clients: int, seconds: float) -> dict[str, float | None]:
    """So many clients post offers for that long, and follow none up."""
    host = appliance.status().page.split("/")[2]
    end = time.perf_counter() + seconds
    posters = [Poster(host, end) for _ in range(clients)]
    for poster in posters:
        poster.start()
    for poster in posters:
        poster.join()
    return figures([answer for poster in posters for answer in poster.answers], seconds)


class Talk:
    """Calls that talk, and when each heard its echoes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._heard: dict[str, Any] = {}

    def end(self) -> None:
        """Hang up."""
        self._process.send_signal(signal.SIGINT)
        self._heard = json.loads(self._process.communicate()[0])

    def live(self, begin: float, end: float) -> dict[str, float]:
        """What they had to bear between two moments of the monotonic clock, once they have hung up."""
        heard = self._heard
        loss = share_lost(heard["arrivals"], heard["numbers"], begin, end)
        return {"live_loss": loss, "live_failed": heard["sessions_failed"]}

    def decoded(self, begin: float, end: float) -> dict[str, float]:
        """The same where a back end speaks by its own clock: what did not come when it should have."""
        heard = self._heard
        up = heard["packets_lost_up"] / max(1, heard["packets_sent"])
        loss = round(up + share_missing(heard["arrivals"], begin, end), 5)
        return {"live_loss": loss, "live_failed": heard["sessions_failed"]}


def share_lost(
    arrivals: Sequence[Sequence[float]], numbers: Sequence[Sequence[int]], begin: float, end: float
) -> float:
    """Of the echoes of calls, by their times and numbers, those that are missing meanwhile."""
    due = lost = 0
    for times, counts in zip(arrivals, numbers, strict=True):
        came = [n for at, n in zip(times, counts, strict=True) if begin <= at < end]
        if came:
            due += max(came) - min(came) + 1
            lost += max(came) - min(came) + 1 - len(set(came))
    return round(lost / due, 5) if due else 1.0


def share_missing(arrivals: Sequence[Sequence[float]], begin: float, end: float) -> float:
    """Of the frames that a clock sends each call between two moments, those that did not come then."""
    due = len(arrivals) * (end - begin) / FRAME_SECONDS
    came = sum(begin <= at < end for times in arrivals for at in times)
    return max(0.0, 1 - came / due)


@contextmanager
def talking(url: str, count: int, seconds: float, *how: str) -> Iterator[Talk]:
    """So many calls, connected, for at most that long; `how`: as bench.fault_calls takes it."""
    command = [sys.executable, "-m", "bench.fault_calls", url, str(count), str(seconds), *how]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_TREE)
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "connected":
            raise SystemExit("the calls did not connect")
        yield Talk(process)
    finally:
        process.kill()
        process.wait()
