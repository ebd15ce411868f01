"""Which workers a host should have: the Config and the host's CPUs in, a list of workers out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import count, islice
from typing import Final, Literal

import msgspec

from config.ids import Role, WorkerName
from config.model import Config

ONLOOKERS: Final = frozenset({Role.TELEMETRY})
"""Calls go on without them: the appliance is no worse for it, and nobody waits for a successor."""


class HostFacts(msgspec.Struct, frozen=True):
    """What of the host decides how many workers there are."""

    cpus: tuple[int, ...]
    """CPUs that this process may run on, in ascending order; at least one."""


class WorkerSpec(msgspec.Struct, frozen=True):
    """One wanted worker. Its name outlives the processes that bear it."""

    name: WorkerName
    role: Role
    index: int
    cpu: int | None = None
    """CPU to pin to. Only relays are pinned: a socket's reader and its cache stay together."""


def worker_name(role: Role, index: int) -> WorkerName:
    """`relay-0`, `transceiver-3`, `signaling-0`."""
    return WorkerName(f"{role.label}-{index}")


def desired_workers(config: Config, host: HostFacts) -> tuple[WorkerSpec, ...]:
    """All wanted workers, in the order in which they are started.

    Relays first: a transceiver takes sessions only when the relays know it, so they had better be up.
    Signaling and the appliance's own back end are where transceivers are.
    """
    relays = _number(config.relay.workers, host)
    transceivers = _number(config.transceiver.workers, host)
    bridges = config.realtime.workers if config.realtime.url and transceivers else 0
    return (
        *(_spec(Role.RELAY, i, host.cpus[i % len(host.cpus)]) for i in range(relays)),
        *(_spec(Role.TRANSCEIVER, i) for i in range(transceivers)),
        *([_spec(Role.SIGNALING, 0)] if transceivers else []),
        *([_spec(Role.TELEMETRY, 0)] if config.ops.listen else []),
        *(_spec(Role.REALTIME, i) for i in range(bridges)),
        *([_spec(Role.FLEET, 0)] if config.in_fleet else []),
    )


def _number(wanted: int | Literal["auto"], host: HostFacts) -> int:
    return len(host.cpus) if wanted == "auto" else wanted


def one_more_relay(present: Sequence[WorkerSpec], host: HostFacts) -> tuple[WorkerSpec, ...]:
    """These relays, and one to try whether it comes up."""
    index = len(present)
    return (*present, _spec(Role.RELAY, index, host.cpus[index % len(host.cpus)]))


def new_specs(role: Role, number: int, taken: Collection[int]) -> tuple[WorkerSpec, ...]:
    """So many more of a role that is not pinned, with the lowest indices that are free."""
    free = (index for index in count() if index not in taken)
    return tuple(_spec(role, index) for index in islice(free, number))


def _spec(role: Role, index: int, cpu: int | None = None) -> WorkerSpec:
    return WorkerSpec(worker_name(role, index), role, index, cpu)
