"""The operator's socket: what `tandem status` and its neighbours ask."""

from __future__ import annotations

import msgspec

from config.ids import Endpoint
from ipc.messages.lifecycle import Tagged
from ipc.messages.stats import RelayStats, SignalingStats, TransceiverStats


class StatusRequest(Tagged, frozen=True):
    """How is the appliance?"""


class WorkerStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row of `tandem status`."""

    name: str
    state: str
    pid: int
    cpu: int | None
    restarts: int
    uptime: float
    sessions: int
    note: str = ""
    """Which datapath runs, or why the worker is not ready."""
    stats: RelayStats | TransceiverStats | SignalingStats | None = None


class StatusReply(Tagged, frozen=True):
    """The appliance at a glance."""

    version: str
    pid: int
    state: str
    uptime: float
    page: str
    """URL of the demo page."""
    listen: tuple[Endpoint, ...]
    advertise: tuple[Endpoint, ...]
    workers: tuple[WorkerStatus, ...]
    warnings: tuple[str, ...] = ()


class SessionsRequest(Tagged, frozen=True):
    """All sessions of all transceivers, answered with a SessionList."""

    limit: int = 1000


class Failure(Tagged, frozen=True):
    """The request could not be carried out; `why` is for a human."""

    why: str
