"""What somebody who places calls was allowed, and by whom."""

from __future__ import annotations

from typing import Annotated, Any, Final, NamedTuple

import msgspec


class Wishes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be said of a call by who signs for its caller.

    An unknown field is refused: what was meant as a limit, and misspelt, would be none.
    """

    session: dict[str, Any] = msgspec.field(default_factory=dict)
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
    backend: str = ""
    max_duration: Annotated[float, msgspec.Meta(ge=0, le=604_800)] | None = None
    idle_timeout: Annotated[float, msgspec.Meta(ge=0, le=86_400)] | None = None


class Grant(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of an API key nothing but its name; a client secret may say more. Never written to logs."""

    key: str = ""
    """Name of the API key, or of the one that asked for the secret, or `user:` and whose token it is.

    Calls are counted by it. Empty: nobody was asked who they are.
    """
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
    token: dict[str, Any] = msgspec.field(default_factory=dict)
    """Claims of the identity provider's token."""


class Permit(NamedTuple):
    """What a caller may here and now: the line of an API key may say less than a secret of it."""

    grant: Grant
    backends: frozenset[str] = frozenset()
    """The only ones that may be called; none: any."""
    sessions: int = 0
    """Calls at a time of all with that key; 0: no limit."""


ANYONE: Final = Grant()
"""Of whoever comes when no keys are configured."""
