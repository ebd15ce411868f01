"""Client secrets: `ek_` and a JWT (RFC 7519), signed with HS256, which carries all that its holder may.

The key is derived from the host's key of routes, so every signaling worker that shares routes knows the
secrets of all others, and nothing is stored. Signed, not encrypted: a client can read its secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from hmac import digest
from typing import Any, Final, NamedTuple

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from workers.http.problems import ProblemKind, Refused
from workers.signaling.grants import Grant

PREFIX: Final = "ek_"
MAX_CLAIMS: Final = 8_192
"""Bytes of JSON: with base64 around it a secret fits into the head of a request."""
_ISSUER: Final = "tandem"
_ALGORITHM: Final = "HS256"
_LABEL: Final = b"tandem client secret 1"
_SHAPE: Final = re.compile(r"ek_([\w-]{8,160})\.[\w-]{8,12000}\.[\w-]{43}", re.ASCII)


class Minted(NamedTuple):
    """A new secret; `expires_at` in seconds since 1970."""

    value: str
    expires_at: int


class Known(NamedTuple):
    """What a secret says, which is ours, but may have expired."""

    grant: Grant
    expires_at: int


class _Claims(msgspec.Struct, frozen=True, omit_defaults=True):
    iss: str
    iat: int
    exp: int
    grant: Grant


class ClientSecrets:
    """Mints and reads them."""

    def __init__(
        self, keys: Mapping[str, bytes], mint_with: str, entropy: Callable[[int], bytes]
    ) -> None:
        """`keys` are those of the routes, by id; the id is the `kid` of a secret."""
        self._keys = {
            key_id: OctKey.import_key(digest(key, _LABEL, sha256)) for key_id, key in keys.items()
        }
        # A header that we have not written is not looked into: what it could say decides nothing.
        self._headers = {
            jwt.encode(_header(key_id), {}, key).partition(".")[0]: key
            for key_id, key in self._keys.items()
        }
        self._mint_with = mint_with
        self._entropy = entropy

    def mint(self, grant: Grant, *, now: float, seconds: int) -> Minted:
        """A secret with an id of its own. Raises Refused (TOO_LARGE)."""
        grant = msgspec.structs.replace(grant, secret=self._entropy(12).hex())
        expires_at = int(now) + seconds
        claims: dict[str, Any] = msgspec.to_builtins(_Claims(_ISSUER, int(now), expires_at, grant))
        if (size := len(msgspec.json.encode(claims))) > MAX_CLAIMS:
            raise Refused(
                ProblemKind.TOO_LARGE,
                f"session and metadata make a secret of {size} bytes, at most {MAX_CLAIMS}",
            )
        token = jwt.encode(_header(self._mint_with), claims, self._keys[self._mint_with])
        return Minted(PREFIX + token, expires_at)

    def read(self, value: str) -> Known | None:
        """What a secret of ours says; None for anything else."""
        match = _SHAPE.fullmatch(value)
        key = self._headers.get(match[1]) if match else None
        if key is None:
            return None
        try:
            token = jwt.decode(value.removeprefix(PREFIX), key, algorithms=[_ALGORITHM])
            claims = msgspec.convert(token.claims, _Claims)
        except (JoseError, ValueError, RecursionError):
            return None
        return Known(claims.grant, claims.exp) if claims.iss == _ISSUER else None


def _header(key_id: str) -> dict[str, str]:
    return {"alg": _ALGORITHM, "kid": key_id}
