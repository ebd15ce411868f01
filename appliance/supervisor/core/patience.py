"""How long a worker may take to finish what it has, and what it waits for."""

from __future__ import annotations

from typing import Final

from appliance.supervisor.core.plan import Stage
from appliance.supervisor.core.worker import Worker
from config.ids import Role
from config.model import Config

STOP_GRACE: Final = 3.0
"""Seconds between Stop and SIGKILL."""
SIGNALING_DRAIN: Final = 3.0
"""Seconds that open HTTP requests may take."""
LEAVES: Final = {
    Role.RELAY: "leaves when its clients have moved on",
    Role.TRANSCEIVER: "leaves when its sessions have ended",
    Role.SIGNALING: "leaves when its requests are answered",
    Role.REALTIME: "leaves when its calls have ended",
    Role.FLEET: "leaves",
    Role.TELEMETRY: "leaves at once",
}
"""Why one drains that is not wanted any more."""


def patience(worker: Worker, stage: Stage, config: Config, left: float) -> float:
    """Seconds that it gets to drain; `config` is in force, `left` what the appliance's drain has."""
    match worker.spec.role:
        case Role.SIGNALING | Role.TELEMETRY:
            return SIGNALING_DRAIN
        case Role.RELAY if stage is not Stage.DRAIN_RELAYS:
            # It leaves, and a client that is silent for longer is none any more.
            return worker.config.transceiver.consent_timeout
        case Role.RELAY:  # this host's own sessions are over: whose media could it still carry?
            return left if config.forwards_for_others else 0.0
        case Role.TRANSCEIVER if stage is Stage.RUN and not worker.stays:
            return config.supervisor.roll_timeout
        case Role.TRANSCEIVER | Role.REALTIME | Role.FLEET:
            return config.supervisor.drain_timeout
