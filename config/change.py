"""What a new configuration means for an appliance that runs: which keys differ, and what each one takes.

LIVE          the supervisor works with it from now on
ROLL_WORKERS  the workers of some roles are replaced, and neither a session nor a packet is lost
RESTART       it takes effect at the next start; until then the old value holds
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from enum import StrEnum
from typing import Any, Final, NamedTuple

from config.ids import Role
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

    @property
    def roles(self) -> frozenset[Role]:
        """Whose workers are replaced."""
        return ROLLS.get(self.key, frozenset())


_LIVE: Final = (
    "relay.workers",  # added beside the others, or let go when their clients have moved to the others
    "relay.receive_buffer",
    "transceiver.workers",  # added beside the others, or let go when their sessions have ended
    "supervisor.drain_timeout",
    "admin.clients",
    "supervisor.roll_timeout",
    "supervisor.spares",
)
_RELAY: Final = frozenset({Role.RELAY})
_TRANSCEIVER: Final = frozenset({Role.TRANSCEIVER})
_SIGNALING: Final = frozenset({Role.SIGNALING})
# Transceivers learn at birth where the appliance's own back ends are.
_REALTIME: Final = frozenset({Role.REALTIME, Role.TRANSCEIVER})
# No session has to do with these: they follow at their next start.
_ALL: Final = frozenset(Role) - {Role.FLEET, Role.TELEMETRY}
ROLLS: Final[dict[str, frozenset[Role]]] = {
    "cluster.others": _RELAY,
    "cluster.global_relays": _RELAY,
    "relay.advertise": _TRANSCEIVER,  # they write the answers
    "relay.advertise_tcp": _TRANSCEIVER,
    "relay.datapath": _RELAY,
    "relay.max_pending": _RELAY,
    "relay.flow_idle": _RELAY,
    "link.mtu": _RELAY | _TRANSCEIVER,
    "transceiver.max_sessions": _TRANSCEIVER,
    "transceiver.max_busy": _TRANSCEIVER,
    "transceiver.media": _TRANSCEIVER,
    "transceiver.codecs": _TRANSCEIVER,
    "transceiver.connect_timeout": _TRANSCEIVER,
    "transceiver.consent_timeout": _TRANSCEIVER,
    "transceiver.max_duration": _TRANSCEIVER | _SIGNALING,  # which holds grants to it
    "transceiver.idle_timeout": _TRANSCEIVER | _SIGNALING,
    "signaling.cors_origins": _SIGNALING,
    "signaling.api_keys": _SIGNALING,  # which file; what is in it counts at once
    "signaling.anonymous": _SIGNALING,
    "signaling.calls_per_minute": _SIGNALING,
    "signaling.trusted_proxies": _SIGNALING,
    "signaling.proxy_header": _SIGNALING,
    "signaling.max_body": _SIGNALING,
    "signaling.max_connections": _SIGNALING,
    "signaling.request_timeout": _SIGNALING,
    "auth.jwks_file": _SIGNALING,  # as with API keys
    "auth.jwks_url": _SIGNALING,
    "auth.issuer": _SIGNALING,
    "auth.audience": _SIGNALING,
    "auth.scope": _SIGNALING,
    "auth.leeway": _SIGNALING,
    "auth.backends": _SIGNALING,
    "auth.sessions": _SIGNALING,
    "auth.calls_per_minute": _SIGNALING,
    "steering.sites": _SIGNALING,
    "steering.sites_per_answer": _SIGNALING,
    "steering.country_header": _SIGNALING,
    "steering.latitude_header": _SIGNALING,
    "steering.longitude_header": _SIGNALING,
    "steering.database": _SIGNALING,  # which file; what is in it counts at once
    # Relays know a new key before the first ufrag is minted with it, and an old one until the last is gone.
    "ufrag.keys": _RELAY | _TRANSCEIVER | _SIGNALING,
    "ufrag.mint_with": _TRANSCEIVER | _SIGNALING,
    "backends.endpoints": _TRANSCEIVER | _SIGNALING,
    "backends.default": _SIGNALING,
    "backends.buffer": _TRANSCEIVER,
    "backends.vad_threshold": _TRANSCEIVER,
    "backends.vad_prefix": _TRANSCEIVER,
    "backends.vad_silence": _TRANSCEIVER,
    "backends.insecure": _TRANSCEIVER,
    "realtime.url": _REALTIME | _SIGNALING,  # which knows the names of all back ends
    "realtime.api_key_file": _REALTIME,
    "realtime.model": _REALTIME,
    "realtime.workers": _REALTIME,
    "fleet.calls": _SIGNALING,
    "fleet.site": _SIGNALING,  # others are told at once
    "fleet.location": _SIGNALING,
    "fleet.countries": _SIGNALING,
    "fleet.nearest": _SIGNALING,
    "supervisor.orphan_timeout": _ALL,
    "log.level": _ALL,
    "log.format": _ALL,
}
"""Whose workers have to be new ones for a changed key."""
_RESTART: Final = (
    "cluster.id",
    "cluster.ingress",
    "relay.listen",
    "relay.tcp",
    "relay.listen_tcp",
    "relay.steering",  # a program is put in front of sockets when they are bound
    "relay.max_flows",  # the tables that outlive workers have that size
    "link.address",
    "transceiver.first_id",
    "signaling.listen",
    "fleet.listen",
    "fleet.peers",
    "fleet.everywhere",
    "redis.url",
    "redis.password_file",
    "redis.prefix",
    "redis.cache",
    "admin.listen",
    "supervisor.runtime_directory",
    "supervisor.state_directory",
    "ops.listen",
)
EFFECTS: Final[dict[str, Effect]] = {
    **dict.fromkeys(_LIVE, Effect.LIVE),
    **dict.fromkeys(ROLLS, Effect.ROLL_WORKERS),
    **dict.fromkeys(_RESTART, Effect.RESTART),
}
"""Of every key that there is."""
_KINDS: Final = ("relay.workers", "transceiver.workers")
"""Another number is nothing; but from none, or to none, it is another kind of host, with other sockets."""


def changes(old: Config, new: Config) -> tuple[Change, ...]:
    """The keys that differ, in the order of the model."""
    before, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    return tuple(
        Change(
            key, _effect(key, was, _at(after, key)), json.dumps(was), json.dumps(_at(after, key))
        )
        for key, was in _leaves(before)
        if was != _at(after, key)
    )


def rolled(differ: Iterable[Change]) -> frozenset[Role]:
    """Whose workers these changes replace."""
    return frozenset[Role]().union(*(change.roles for change in differ))


def merge(old: Config, new: Config, effects: Collection[Effect]) -> Config:
    """`old`, with those values of `new` whose change has one of these effects."""
    merged, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    for key in EFFECTS:
        if _effect(key, _at(merged, key), _at(after, key)) in effects:
            section, name = key.split(".")
            merged[section][name] = _at(after, key)
    return Config.model_validate(merged)


def _effect(key: str, was: object, becomes: object) -> Effect:
    if key in _KINDS and 0 in (was, becomes) and was != becomes:
        return Effect.RESTART
    return EFFECTS[key]


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
