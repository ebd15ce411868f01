"""Who may do what: with an API key everything, with a client secret what it says, without keys anybody.

    Authorization: Bearer <API key or client secret>

A session's own address takes secrets that have expired, too: a call may outlive what it was placed with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from workers.signaling.api_keys import ApiKeys
from workers.signaling.grants import ANYONE, Grant
from workers.signaling.problems import ProblemKind, Refused

if TYPE_CHECKING:  # importing it takes a while, and only who has keys needs it
    from workers.signaling.client_secrets import ClientSecrets, Minted

_SCHEME: Final = "bearer"
_CHALLENGE: Final = 'Bearer realm="tandem"'


class Locks(NamedTuple):
    """What there is when keys are configured."""

    keys: ApiKeys
    secrets: ClientSecrets
    clock: Callable[[], float]
    """Seconds since 1970."""


class Access:
    """Decides by a bearer alone. Nothing of a bearer ever reaches a log line or an answer."""

    def __init__(self, locks: Locks | None = None) -> None:
        """Without locks everybody may call, and nobody can have a secret made."""
        self._locks = locks

    def admit(self, bearer: str) -> Grant:
        """What a caller may who places a call. Raises Refused (UNAUTHORIZED)."""
        if self._locks is None:
            return ANYONE
        return _known(self._locks, bearer, expired_too=False)

    def recognise(self, bearer: str) -> None:
        """Let somebody at the address of a session. Raises Refused (UNAUTHORIZED)."""
        if self._locks is not None:
            _known(self._locks, bearer, expired_too=True)

    def mint(self, bearer: str, grant: Grant, seconds: int) -> Minted:
        """A client secret for the holder of an API key. Raises Refused."""
        if self._locks is None:
            raise Refused(
                ProblemKind.FORBIDDEN, "no API keys are configured, so calls need no secret"
            )
        holder = _known(self._locks, bearer, expired_too=False)
        if holder.secret:
            raise Refused(ProblemKind.FORBIDDEN, "only an API key can have client secrets made")
        grant = msgspec.structs.replace(grant, key=holder.key, secret="")
        return self._locks.secrets.mint(grant, now=self._locks.clock(), seconds=seconds)


def bearer_of(headers: Mapping[str, str]) -> str:
    """The bearer of a request; empty if it has none."""
    scheme, _, value = headers.get("authorization", "").strip().partition(" ")
    return value.strip() if scheme.lower() == _SCHEME else ""


def _known(locks: Locks, bearer: str, *, expired_too: bool) -> Grant:
    if not bearer:
        raise _unauthorized("send Authorization: Bearer, with an API key or a client secret", "")
    if (name := locks.keys.find(bearer)) is not None:
        return Grant(key=name)
    known = locks.secrets.read(bearer)
    if known is None:
        raise _unauthorized("neither an API key nor a client secret of ours")
    if known.grant.key not in locks.keys:
        raise _unauthorized("the API key behind this client secret has been withdrawn")
    if not expired_too and locks.clock() >= known.expires_at:
        raise _unauthorized("the client secret has expired")
    return known.grant


def _unauthorized(detail: str, error: str = "invalid_token") -> Refused:
    challenge = f'{_CHALLENGE}, error="{error}"' if error else _CHALLENGE  # RFC 6750, 3
    return Refused(ProblemKind.UNAUTHORIZED, detail, {"www-authenticate": challenge})
