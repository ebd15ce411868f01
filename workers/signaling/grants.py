"""What somebody who places calls was allowed, and by whom."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec


class Grant(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of an API key nothing but its name; a client secret may say more. Never written to logs."""

    key: str = ""
    """Name of the API key, or of the one that asked for the secret; empty: none are configured."""
    secret: str = ""
    """Id of the client secret; empty for an API key."""
    session: dict[str, Any] = msgspec.field(default_factory=dict)
    """Stands above what the client asks for in its own `session`."""
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
    """For the back end; the client can read it and not change it."""
    backend: str = ""
    """The only one it may call; empty: any."""
    max_duration: float | None = None
    idle_timeout: float | None = None
    """Seconds, as in CreateSession."""
    once: bool = False
    """It can place one call and no more."""
    origins: tuple[str, ...] = ()
    """The only pages that may use it, as browsers name them; none: whoever has it."""
    clusters: tuple[int, ...] = ()
    """The only clusters that take it; none: all that share the key of routes."""


class Permit(NamedTuple):
    """What a caller may here and now: the line of an API key may say less than a secret of it."""

    grant: Grant
    backends: frozenset[str] = frozenset()
    """The only ones that may be called; none: any."""
    sessions: int = 0
    """Calls at a time of all with that key; 0: no limit."""


ANYONE: Final = Grant()
"""Of whoever comes when no keys are configured."""
