"""Who may do what: with an API key what its line says, with a client secret or a token what that says.

    Authorization: Bearer <API key, client secret, or token of the identity provider>

Without keys anybody on this machine may call, and others where the operator says so. A session's own
address takes secrets that have expired, too: a call may outlive what it was placed with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from config.api_keys import Scope, Terms
from workers.http.problems import ProblemKind, Refused
from workers.signaling.api_keys import ApiKeys
from workers.signaling.challenge import unauthorized
from workers.signaling.client_address import Client, Proxies
from workers.signaling.grants import ANYONE, Grant, Permit
from workers.signaling.origins import check_origin
from workers.signaling.quotas import Buckets, neighbourhood

if TYPE_CHECKING:  # importing it takes a while, and only who has keys needs it
    from workers.signaling.client_secrets import ClientSecrets, Minted
    from workers.signaling.ledger import Ledger
    from workers.signaling.tokens import Tokens

_SCHEME: Final = "bearer"


class Own(NamedTuple):
    """What the operator gives out: keys, and with them secrets."""

    keys: ApiKeys
    secrets: ClientSecrets
    ledger: Ledger
    """Of secrets that were for one call."""


class Locks(NamedTuple):
    """What there is when keys or tokens are configured."""

    clock: Callable[[], float]
    """Seconds since 1970."""
    own: Own | None = None
    tokens: Tokens | None = None


class Gate(NamedTuple):
    """The operator's part, keys aside."""

    anonymous: bool = False
    """Without keys, others than this machine may call, too."""
    calls_per_minute: int = 0
    """Of one address (IPv6: /64) that is not this machine's own; 0: no limit."""
    proxies: Proxies = Proxies()
    origins: frozenset[str] = frozenset()
    """Of pages elsewhere that may call, as in `signaling.cors_origins`."""
    cluster: int = 0
    """Our own: a secret may be for others."""


class Access:
    """Decides by a bearer and an address. Nothing of a bearer ever reaches a log line or an answer."""

    def __init__(
        self,
        locks: Locks | None = None,
        gate: Gate = Gate(),  # noqa: B008  # a value
        *,
        now: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Without locks nobody can have a secret made. `now`: seconds of a clock that never steps."""
        self._locks = locks
        self._gate = gate
        self._now = now
        self._by_address = Buckets()
        self._by_key = Buckets()

    async def admit(self, bearer: str, client: Client) -> Permit:
        """What a caller may who places a call.

        Raises Refused (UNAUTHORIZED, FORBIDDEN, TOO_MANY, KEYS_AWAY).
        """
        self._slow_down(client)
        if self._locks is None:
            self._check_stranger(client)
            return Permit(ANYONE)
        grant, terms = await _known(self._locks, bearer, expired_too=False)
        needed = Scope.SECRETS if grant.secret else Scope.CALLS
        if needed not in terms.scopes:
            raise Refused(ProblemKind.FORBIDDEN, f"the key {grant.key!r} is not for {needed.value}")
        self._check_audience(grant, client)
        if wait := self._by_key.take(grant.key, terms.calls_per_minute, self._now()):
            what = "by this user" if grant.token else "with this key"
            raise _too_many(f"{terms.calls_per_minute} calls a minute {what}", wait)
        if grant.once and self._locks.own:
            now = self._locks.clock()
            if not await self._locks.own.ledger.spend(grant.secret, now):
                raise unauthorized("the client secret was for one call, which has been placed")
        return Permit(grant, frozenset(terms.backends), terms.sessions)

    async def recognise(self, bearer: str) -> None:
        """Let somebody at the address of a session. Raises Refused (UNAUTHORIZED, KEYS_AWAY)."""
        if self._locks is not None:
            await _known(self._locks, bearer, expired_too=True)

    async def attend(self, bearer: str, client: Client) -> str:
        """Whose calls somebody may hear and steer: those placed with that API key, or by that user.

        A client secret is not enough: it lies in a page. Raises Refused (UNAUTHORIZED, FORBIDDEN,
        KEYS_AWAY).
        """
        if self._locks is None:
            self._check_stranger(client)
            return ANYONE.key
        grant, _ = await _known(self._locks, bearer, expired_too=False)
        if grant.secret:
            raise Refused(ProblemKind.FORBIDDEN, "a sideband takes an API key, no client secret")
        return grant.key

    async def may_mint(self, bearer: str, client: Client) -> Grant:
        """Who may have secrets made; before a stranger's body is worked on. Raises Refused."""
        self._slow_down(client)
        if self._locks is None or self._locks.own is None:
            raise Refused(
                ProblemKind.FORBIDDEN, "no API keys are configured, so there are no secrets"
            )
        grant, terms = await _known(self._locks, bearer, expired_too=False)
        if grant.secret or grant.token:
            raise Refused(ProblemKind.FORBIDDEN, "only an API key can have client secrets made")
        if Scope.SECRETS not in terms.scopes:
            raise Refused(ProblemKind.FORBIDDEN, f"the key {grant.key!r} is not for secrets")
        return grant

    def mint(self, holder: Grant, wanted: Grant, seconds: int) -> Minted:
        """A client secret for whom `may_mint` has let in. Raises Refused (FORBIDDEN, TOO_LARGE)."""
        assert self._locks is not None
        assert self._locks.own is not None
        keys, secrets, _ = self._locks.own
        now = self._locks.clock()
        key = keys.get(holder.key, now)
        if key and key.terms.backends and wanted.backend not in ("", *key.terms.backends):
            raise Refused(
                ProblemKind.FORBIDDEN, f"the key {holder.key!r} is not for {wanted.backend!r}"
            )
        wanted = msgspec.structs.replace(wanted, key=holder.key, secret="")
        return secrets.mint(wanted, now=now, seconds=seconds)

    def client_of(self, scope: MutableMapping[str, Any]) -> Client:
        """Who has sent a request, of which this is the ASGI scope."""
        peer = scope["client"]
        return self._gate.proxies.client(peer[0] if peer else "", scope["headers"])

    def _check_stranger(self, client: Client) -> None:
        """Nobody has keys."""
        if self._gate.anonymous:
            return
        if not client.is_here:
            what = "calls without a key are taken from this machine only, asked for as localhost"
            raise unauthorized(what, "")
        # A browser on this machine has pages from elsewhere open.
        check_origin(client.origin, client.host, self._gate.origins)

    def _check_audience(self, grant: Grant, client: Client) -> None:
        """A secret is no use elsewhere than where it was meant for."""
        if grant.origins and client.origin not in grant.origins:
            raise Refused(ProblemKind.FORBIDDEN, "the client secret is for pages of other origins")
        if grant.clusters and self._gate.cluster not in grant.clusters:
            raise Refused(ProblemKind.FORBIDDEN, "the client secret is for other clusters")

    def _slow_down(self, client: Client) -> None:
        """By address. This machine's own are programs of the operator's, or a proxy's that nobody names."""
        if client.address.is_loopback:
            return
        allowed = self._gate.calls_per_minute
        if wait := self._by_address.take(neighbourhood(client.address), allowed, self._now()):
            raise _too_many(f"{allowed} calls a minute from this address", wait)


def bearer_of(headers: Mapping[str, str]) -> str:
    """The bearer of a request; empty if it has none."""
    scheme, _, value = headers.get("authorization", "").strip().partition(" ")
    return value.strip() if scheme.lower() == _SCHEME else ""


async def _known(locks: Locks, bearer: str, *, expired_too: bool) -> tuple[Grant, Terms]:
    """Whose bearer it is, and what the line of the API key behind it says, or what is said of tokens."""
    if not bearer:
        raise unauthorized("send Authorization: Bearer, with a key, a client secret or a token", "")
    now = locks.clock()
    if locks.own and (known := _of_ours(locks.own, bearer, now, expired_too=expired_too)):
        return known
    tokens = locks.tokens
    if tokens and (admitted := await tokens.read(bearer, now, expired_too=expired_too)):
        return admitted
    raise unauthorized("neither an API key nor a client secret of ours, nor a token")


def _of_ours(own: Own, bearer: str, now: float, *, expired_too: bool) -> tuple[Grant, Terms] | None:
    keys, secrets, _ = own
    if (name := keys.find(bearer, now)) is not None and (key := keys.get(name, now)):
        return Grant(key=name), key.terms
    known = secrets.read(bearer)
    if known is None:
        return None
    behind = keys.get(known.grant.key, now)
    if behind is None:
        raise unauthorized("the API key behind this client secret has been withdrawn")
    if not expired_too and now >= known.expires_at:
        raise unauthorized("the client secret has expired")
    return known.grant, behind.terms


def _too_many(limit: str, wait: float) -> Refused:
    return Refused(ProblemKind.TOO_MANY, f"at most {limit}", {"retry-after": str(math.ceil(wait))})
