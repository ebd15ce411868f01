"""Network cards and CPUs: who takes the packets, and which worker is there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from appliance.doctor.finding import Finding, ok, warn
from appliance.doctor.host import Host
from appliance.supervisor.core.spec import HostFacts, desired_workers
from appliance.supervisor.sockets import usable_cpus
from config.ids import Role
from config.model import Steering


def check(host: Host) -> Iterator[Finding]:
    """Queues against workers, and workers against CPUs."""
    cpus = usable_cpus()
    relays = [s for s in desired_workers(host.config, HostFacts(cpus)) if s.role is Role.RELAY]
    if relays:
        yield from _queues(host, len(relays))
        yield _cpus(len(relays), len(cpus))
        yield from _pinned(host)
    yield from _quota(host)


def _queues(host: Host, relays: int) -> Iterator[Finding]:
    cards = list(_cards(host.sys / "class" / "net"))
    if not cards:
        yield ok("network.queues", "no network card here")
    for card in cards:
        queues = len(list(card.glob("queues/rx-*")))
        plural = "" if queues == 1 else "s"
        what = f"{card.name} has {queues} receive queue{plural} for {relays} relays"
        steered = _receive_packet_steering(card)
        if queues >= relays or relays == 1 or steered:
            yield ok("network.queues", what + (", and RPS spreads them" if steered else ""))
        elif host.config.relay.steering is Steering.CPU:
            advice = f'ethtool -L {card.name} combined {relays}, or relay.steering = "hash"'
            yield warn("network.queues", what + ', and relay.steering is "cpu"', advice)
        else:
            mask = f"/sys/class/net/{card.name}/queues/rx-0/rps_cpus"
            cpus = f"{(1 << min(relays, 32)) - 1:x}"
            advice = (
                f"ethtool -L {card.name} combined {relays}, or by software: echo {cpus} > {mask}"
            )
            takers = "one CPU takes" if queues == 1 else f"{queues} CPUs take"
            yield warn("network.queues", f"{what}: {takers} all packets", advice)


def _cards(folder: Path) -> Iterator[Path]:
    """Real ones, that are up: bridges, tunnels and loopback have no device behind them."""
    try:
        names = sorted(folder.iterdir())
    except OSError:
        return
    for card in names:
        try:
            if (card / "device").exists() and (card / "operstate").read_text().strip() == "up":
                yield card
        except OSError:
            continue


def _receive_packet_steering(card: Path) -> bool:
    try:
        masks = [path.read_text() for path in card.glob("queues/rx-*/rps_cpus")]
    except OSError:
        return False
    return any(mask.replace(",", "").strip("0\n ") for mask in masks)


def _cpus(relays: int, cpus: int) -> Finding:
    if relays > cpus:
        what = f"{relays} relays share {cpus} CPUs"
        return warn("cpu.relays", what, 'relay.workers = "auto" is one for each CPU')
    return ok("cpu.relays", f"{relays} relays, {cpus} CPUs")


def _pinned(host: Host) -> Iterator[Finding]:
    """Whether relays run where they should; anybody may ask that of any process."""
    if host.status is None:
        return
    astray = []
    for worker in host.status.workers:
        if worker.cpu is None or not worker.pid:
            continue
        try:
            where = os.sched_getaffinity(worker.pid)
        except OSError:
            continue
        if where != {worker.cpu}:
            astray.append(f"{worker.name} on {', '.join(map(str, sorted(where)))}")
    if astray:
        what = f"not pinned to their CPU: {'; '.join(astray)}"
        yield warn("cpu.pinned", what, "AllowedCPUs= or CPUAffinity= of the unit must include it")
    else:
        yield ok("cpu.pinned", "every relay has its CPU")


def _quota(host: Host) -> Iterator[Finding]:
    """A quota stops all threads for the rest of each tenth of a second: nothing hurts voice more."""
    for path in (
        host.sys / "fs/cgroup/cpu.max",
        host.sys / "fs/cgroup/system.slice/tandem.service/cpu.max",
    ):
        try:
            quota, period = path.read_text().split()
        except (OSError, ValueError):
            continue
        if quota != "max":
            share = int(quota) / int(period)
            what = f"{path} allows {share:g} CPUs, and stops everything in between"
            yield warn("cpu.quota", what, "CPUWeight= instead of CPUQuota=")
            return
    yield ok("cpu.quota", "no CPU quota")
