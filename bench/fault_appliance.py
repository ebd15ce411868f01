"""`python -m bench.faults appliance`: what calls lose when any process of a whole appliance is killed.

One appliance with two relays and two transceivers as `tandem run` starts it, metrics included; idle
first, then with live calls as `tandem call` makes them. Each kind of process is killed with SIGKILL; a
killed supervisor is started again, as a service manager would. `upgrade`: every worker is replaced, one
by one, by `tandem reload --roll`, which is what an upgrade does to calls.

    <kind>_sessions_lost    calls that never heard anything again; of a transceiver: those of others
    <kind>_datagrams_lost   frames of these calls that were sent around the fault and never came back
    <kind>_gap_ms           the longest silence that any of these calls heard around it; 20 would be none
    <kind>_whole_ms         until all that should serve served again, as the supervisor says
    quiet_...               the same with nothing done at all: what of the above is the machine's
    start_ms                from `tandem run` until it is ready
    idle_cpu_percent        of one core, all processes together, spares included
    idle_worker_mb          the largest worker's memory, shared pages divided by those who share them (PSS)
    idle_worker_rss_mb      the same with every shared page counted in full
    idle_memory_mb          PSS of all processes together, spares included
    reload_ms               of `tandem reload` when nothing has changed
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench.appliance import Appliance, free_port, launched
from bench.fault_figures import SETTLED, Fault, fields_of
from bench.placement import family
from bench.usage import threads_cpu
from ipc.messages.admin import (
    ReloadReply,
    ReloadRequest,
    SessionsRequest,
    StatusReply,
    WorkerStatus,
)
from ipc.messages.sessions import SessionList
from ipc.rpc import RpcFailed, RpcTimeout
from ipc.zmq_trio import Unreachable

_SECTIONS: Final = """\
[relay]
listen = ["127.0.0.1:{port}"]
workers = 2
[transceiver]
workers = 2
"""
DRAIN: Final = 120.0
"""Seconds: whoever is replaced serves its sessions until they end."""
WITHIN: Final = 20.0
SERVES: Final = "ready"
_TREE: Final = Path(__file__).parent.parent


def measure(calls: int, idle_seconds: float, log: Callable[[str], None]) -> dict[str, Any]:
    """The whole bench."""
    began = time.monotonic()
    sections, ops = _SECTIONS.format(port=free_port()), f"127.0.0.1:{free_port()}"
    with launched(sections, drain_timeout=DRAIN, ops=[ops]) as appliance:
        start_ms = round(1000 * (time.monotonic() - began))
        found = {"start_ms": start_ms, **_idle(appliance, idle_seconds), **_reload(appliance)}
        log(f"idle: {found}")
        talk = _Talk(appliance, calls)
        try:
            faults = [*_faults(appliance, log)]
        except BaseException:
            talk.process.kill()
            raise
        heard = talk.end()
    log(f"calls: {heard['packets_lost']} of {heard['packets_sent']} packets lost {heard['errors']}")
    for fault in faults:
        found |= fields_of(fault, heard)
    return {"calls": calls, **found}


class _Talk:
    """Live calls, all connected."""

    def __init__(self, appliance: Appliance, count: int) -> None:
        command = [sys.executable, "-m", "bench.fault_calls", appliance.url, str(count), "120"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_TREE)
        assert self.process.stdout is not None
        if self.process.stdout.readline().strip() != "connected":
            raise SystemExit("the calls did not connect")

    def end(self) -> dict[str, Any]:
        """Hang up; what they heard."""
        self.process.send_signal(signal.SIGINT)
        heard: dict[str, Any] = json.loads(self.process.communicate()[0])
        return heard


def _faults(appliance: Appliance, log: Callable[[str], None]) -> Iterator[Fault]:
    """One after the other, each when the last one is over."""
    time.sleep(1.0)
    at = time.monotonic()
    time.sleep(0.5)
    yield _over("quiet", at, frozenset(), log)
    for kind in ("supervisor", "relay", "signaling", "transceiver"):
        before = _whole(appliance)
        sessions = appliance.ask(SessionsRequest(), SessionList, within=5.0).rows
        at = time.monotonic()
        spared: frozenset[str] = frozenset()
        if kind == "supervisor":
            appliance.kill()
            _until(appliance, lambda s: s.state == SERVES)
        else:
            victim = next(w for w in before.workers if w.role == kind)
            if kind == "transceiver":
                spared = frozenset(r.session for r in sessions if r.worker == victim.name)
            os.kill(victim.pid, signal.SIGKILL)
            _until(appliance, partial(_has_successor, victim))
        yield _over(kind, at, spared, log)
    _whole(appliance)
    at = time.monotonic()
    reply = appliance.ask(ReloadRequest(roll=True), ReloadReply, within=60.0)
    if reply.problems or reply.given_up:
        raise SystemExit(f"the workers were not replaced: {reply}")
    yield _over("upgrade", at, frozenset(), log)


def _over(kind: str, at: float, spared: frozenset[str], log: Callable[[str], None]) -> Fault:
    whole = time.monotonic()
    log(f"{kind}: whole after {whole - at:.2f} s")
    time.sleep(SETTLED)
    return Fault(kind, at, whole, spared)


def _has_successor(victim: WorkerStatus, status: StatusReply) -> bool:
    return status.state == SERVES and all(
        w.pid != victim.pid and w.state == SERVES for w in status.workers if w.name == victim.name
    )


def _whole(appliance: Appliance) -> StatusReply:
    """When everything serves and a spare of each role waits."""
    return _until(
        appliance,
        lambda s: s.state == SERVES and bool(s.spares) and all(x.waiting for x in s.spares),
    )


def _until(appliance: Appliance, condition: Callable[[StatusReply], bool]) -> StatusReply:
    """The first status that is so."""
    deadline = time.monotonic() + WITHIN
    while time.monotonic() < deadline:
        try:
            if condition(status := appliance.status()):
                return status
        except (RpcTimeout, RpcFailed, Unreachable):
            pass  # its supervisor is just being replaced
        time.sleep(0.01)
    raise SystemExit("the appliance did not become whole again")


# --- while nobody calls -----------------------------------------------------------------------------------


def _idle(appliance: Appliance, seconds: float) -> dict[str, float]:
    status = _whole(appliance)
    time.sleep(SETTLED)  # what starting up has left to do
    pids = family(appliance.pid)
    used, began = sum(map(threads_cpu, pids)), time.monotonic()
    time.sleep(seconds)
    used, took = sum(map(threads_cpu, pids)) - used, time.monotonic() - began
    workers = [_memory(worker.pid) for worker in status.workers]
    return {
        "idle_processes": len(pids),
        "idle_cpu_percent": round(100 * used / took, 2),
        "idle_worker_mb": max(round(each["Pss"] / 1024, 1) for each in workers),
        "idle_worker_rss_mb": max(round(each["Rss"] / 1024, 1) for each in workers),
        "idle_memory_mb": round(sum(_memory(pid)["Pss"] for pid in pids) / 1024, 1),
    }


def _reload(appliance: Appliance) -> dict[str, float]:
    at = time.monotonic()
    reply = appliance.ask(ReloadRequest(), ReloadReply, within=30.0)
    if reply.problems or reply.changes or reply.replaced:
        raise SystemExit(f"nothing was to change: {reply}")
    return {"reload_ms": round(1000 * (time.monotonic() - at), 1)}


def _memory(pid: int) -> dict[str, int]:
    """Kilobytes, by the kernel's names."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
