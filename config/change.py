"""What a new configuration means for an appliance that runs: which keys differ, and what each one takes.

LIVE          the supervisor works with it from now on
ROLL_WORKERS  relays are replaced one by one, and no packet is lost
RESTART       it takes effect at the next start; until then the old value holds
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from enum import StrEnum
from typing import Any, Final, NamedTuple

from config.model import Config


class Effect(StrEnum):
    """What it takes for a changed value to be in force."""

    LIVE = "live"
    ROLL_WORKERS = "roll_workers"
    RESTART = "restart"


class Change(NamedTuple):
    """A key with two values, each as JSON."""

    key: str
    effect: Effect
    old: str
    new: str


_LIVE: Final = (
    "relay.workers",  # added beside the others, or let go when their clients have moved to the others
    "relay.receive_buffer",
    "supervisor.drain_timeout",
    "supervisor.spares",
)
_ROLL: Final = ("relay.datapath", "relay.max_pending", "relay.flow_idle")
_RESTART: Final = (
    "cluster.id",
    "relay.listen",
    "relay.advertise",
    "relay.steering",  # a program is put in front of sockets when they are bound
    "relay.max_flows",  # the tables that outlive workers have that size
    "link.address",
    "link.mtu",
    "transceiver.workers",
    "transceiver.max_sessions",
    "transceiver.media",
    "transceiver.codecs",
    "transceiver.connect_timeout",
    "transceiver.consent_timeout",
    "transceiver.max_duration",
    "transceiver.idle_timeout",
    "signaling.listen",
    "signaling.cors_origins",
    "signaling.api_keys",  # which file; what is in it counts at once
    "signaling.max_body",
    "signaling.max_connections",
    "signaling.request_timeout",
    "ufrag.keys",
    "ufrag.mint_with",
    "backends.endpoints",
    "backends.default",
    "backends.buffer",
    "backends.vad_threshold",
    "backends.vad_prefix",
    "backends.vad_silence",
    "backends.insecure",
    "realtime.url",
    "realtime.api_key_file",
    "realtime.model",
    "realtime.workers",
    "supervisor.runtime_directory",
    "supervisor.state_directory",
    "supervisor.orphan_timeout",
    "log.level",
    "log.format",
)
EFFECTS: Final[dict[str, Effect]] = {
    **dict.fromkeys(_LIVE, Effect.LIVE),
    **dict.fromkeys(_ROLL, Effect.ROLL_WORKERS),
    **dict.fromkeys(_RESTART, Effect.RESTART),
}
"""Of every key that there is."""


def changes(old: Config, new: Config) -> tuple[Change, ...]:
    """The keys that differ, in the order of the model."""
    before, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    return tuple(
        Change(key, EFFECTS[key], json.dumps(was), json.dumps(_at(after, key)))
        for key, was in _leaves(before)
        if was != _at(after, key)
    )


def merge(old: Config, new: Config, effects: Collection[Effect]) -> Config:
    """`old`, with those values of `new` whose change has one of these effects."""
    merged, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    for key, effect in EFFECTS.items():
        if effect in effects:
            section, name = key.split(".")
            merged[section][name] = _at(after, key)
    return Config.model_validate(merged)


def keys() -> tuple[str, ...]:
    """Every key of a configuration, as `section.name`."""
    return tuple(key for key, _ in _leaves(Config().model_dump(mode="json")))


def _leaves(dumped: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for section, values in dumped.items():
        for name, value in values.items():
            yield f"{section}.{name}", value


def _at(dumped: dict[str, Any], key: str) -> Any:
    section, name = key.split(".")
    return dumped[section][name]
