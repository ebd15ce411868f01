"""Tokens of the operator's identity provider: JWTs (RFC 7519), which its users place calls with.

    header  {"alg": "ES256", "kid": "2027-1"}
    claims  {"iss": ..., "aud": ..., "sub": "alice", "exp": 1800000600, "tandem": {"backend": "agent"}}

What `tandem` says counts as it would in a client secret. The library sees a token only when its header
names a key of the provider's, and the way to sign that this key is for; nothing else there is heeded.
"""

from __future__ import annotations

import re
import warnings
from base64 import urlsafe_b64decode
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

import msgspec
from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import Key, import_key

from config.api_keys import Scope, Terms
from config.key_set import MAX_KEYS, VerifyingKey
from config.model import AuthSection
from workers.http.problems import Refused
from workers.signaling.challenge import unauthorized
from workers.signaling.grants import Grant, Wishes
from workers.signaling.objects import parse_object

MAX_TOKEN: Final = 8_192
"""Characters."""
MAX_SUBJECT: Final = 255
_SHAPE: Final = re.compile(r"([\w-]+)\.[\w-]+\.[\w-]+", re.ASCII)
_TYPES: Final = frozenset({"", "jwt", "at+jwt", "application/jwt", "application/at+jwt"})
"""RFC 8725, 3.11: what a provider signs for another purpose opens nothing."""


class KeySource(Protocol):
    """Where the provider's keys are."""

    async def find(self, kid: str) -> VerifyingKey | None:
        """The key of that name. Raises Refused if not one has ever been known."""
        ...


class _Header(msgspec.Struct, frozen=True):
    alg: str
    kid: str
    typ: str = ""
    crit: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Claims(msgspec.Struct, frozen=True):
    iss: str
    sub: str
    aud: str | tuple[str, ...]
    exp: float
    nbf: float = 0.0
    scope: str | tuple[str, ...] = ""
    scp: str | tuple[str, ...] = ""
    """What some providers call the scope."""
    tandem: Wishes = Wishes()


class Admitted(NamedTuple):
    """Whom a token lets in, and on which terms."""

    grant: Grant
    terms: Terms


class Tokens:
    """Reads them."""

    def __init__(self, source: KeySource, section: AuthSection) -> None:
        self._source = source
        self._section = section
        self._terms = Terms(
            frozenset({Scope.CALLS}), section.backends, section.sessions, section.calls_per_minute
        )

    async def read(self, bearer: str, now: float, *, expired_too: bool) -> Admitted | None:
        """Whose it is; None if it is no token. `now`: seconds since 1970.

        Raises Refused (UNAUTHORIZED, KEYS_AWAY).
        """
        header = _header(bearer)
        if header is None:
            return None
        key = await self._source.find(header.kid)
        if key is None or header.alg not in key.algorithms:
            raise unauthorized("the token names no key of the provider's, or not what it is for")
        payload = _verify(bearer, key, header.alg)
        try:
            said = parse_object(payload, "the token")  # all of it goes on to the back end
            claims = msgspec.convert(said, _Claims)
        except Refused as refused:
            raise unauthorized(refused.detail) from None
        except msgspec.ValidationError as error:
            raise unauthorized(f"the token cannot be read: {error}") from None
        if what := self._complaint(claims, now, expired_too=expired_too):
            raise unauthorized(f"the token {what}")
        wishes = msgspec.structs.asdict(claims.tandem)
        return Admitted(Grant(key=f"user:{claims.sub}", token=said, **wishes), self._terms)

    def _complaint(self, claims: _Claims, now: float, *, expired_too: bool) -> str:
        """Why that is not for us, or not for now; empty if it is."""
        section = self._section
        audience = (claims.aud,) if isinstance(claims.aud, str) else claims.aud
        if claims.iss != section.issuer:
            return "is of another issuer"
        if section.audience not in audience:
            return "is for another audience"
        if not 0 < len(claims.sub) <= MAX_SUBJECT:
            return f"must name its subject in 1-{MAX_SUBJECT} characters"
        if section.scope and section.scope not in (*_words(claims.scope), *_words(claims.scp)):
            return "does not have the scope that is needed"
        if now + section.leeway < claims.nbf:
            return "is not valid yet"
        if not expired_too and now - section.leeway >= claims.exp:
            return "has expired"
        return ""


def _header(bearer: str) -> _Header | None:
    match = _SHAPE.fullmatch(bearer) if len(bearer) <= MAX_TOKEN else None
    if match is None:
        return None
    try:
        text = urlsafe_b64decode(match[1] + "=" * (-len(match[1]) % 4))
        header = msgspec.json.decode(text, type=_Header)
    except (ValueError, RecursionError):
        return None
    known = header.typ.lower() in _TYPES and header.crit is msgspec.UNSET
    return header if known else None


def _verify(token: str, key: VerifyingKey, algorithm: str) -> bytes:
    """What has been signed with that key. Raises Refused (UNAUTHORIZED)."""
    try:
        with warnings.catch_warnings():
            # That RFC 9864 has given EdDSA another name makes it no worse.
            warnings.simplefilter("ignore", SecurityWarning)
            return jws.deserialize_compact(token, _import(key), algorithms=[algorithm]).payload
    except (JoseError, ValueError):
        raise unauthorized("the token was not signed with the key that it names") from None


@lru_cache(MAX_KEYS)
def _import(key: VerifyingKey) -> Key:
    return import_key(dict(key.members))


def _words(scope: str | tuple[str, ...]) -> tuple[str, ...]:
    return tuple(scope.split()) if isinstance(scope, str) else scope
