"""An identity provider: keys made for the test, the set that it publishes, and the tokens that it signs."""

from __future__ import annotations

import json
import warnings
from typing import Any, Final, TypeAlias

from joserfc import jwk, jws
from joserfc.errors import SecurityWarning

ISSUER: Final = "https://id.example"
AUDIENCE: Final = "tandem"
NOW: Final = 1_800_000_000
Key: TypeAlias = jwk.RSAKey | jwk.ECKey | jwk.OKPKey


def make_key(algorithm: str) -> Key:
    """A private key for RS256, ES256 or EdDSA."""
    match algorithm:
        case "RS256":
            return jwk.RSAKey.generate_key(2048)
        case "ES256":
            return jwk.ECKey.generate_key("P-256")
        case _:
            return jwk.OKPKey.generate_key("Ed25519")


def public(key: Key, kid: str, **more: Any) -> dict[str, Any]:
    """What the set says of it."""
    return {**key.as_dict(private=False), "kid": kid, "use": "sig", **more}


class Provider:
    """Signs with the keys that it has, and publishes those."""

    def __init__(self, algorithm: str = "ES256", kid: str = "first") -> None:
        self.keys: dict[str, tuple[str, Key]] = {}
        self.rotate(algorithm, kid)

    def rotate(self, algorithm: str, kid: str) -> None:
        """From now on tokens are signed by a new key, and the old one is forgotten."""
        self.keys = {kid: (algorithm, make_key(algorithm))}

    def document(self) -> str:
        """The key set."""
        return json.dumps({"keys": [public(key, kid) for kid, (_, key) in self.keys.items()]})

    def token(self, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """Signed by the newest key; a claim that is None is left out."""
        kid, (algorithm, key) = list(self.keys.items())[-1]
        said = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "alice",
            "exp": NOW + 300,
            **claims,
        }
        return sign(
            {"alg": algorithm, "kid": kid, **(header or {})},
            {name: value for name, value in said.items() if value is not None},
            key,
        )


def sign(header: dict[str, Any], claims: object, key: Any) -> str:
    """Whatever that may be."""
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # of EdDSA, for its name
        return jws.serialize_compact(header, payload, key, algorithms=[header["alg"]])
