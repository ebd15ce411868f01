"""Public keys of an identity provider: a JSON Web Key Set (RFC 7517), as it is published.

    {"keys": [{"kty": "EC", "crv": "P-256", "kid": "2027-1", "use": "sig", "x": "...", "y": "..."}]}

A key is for one way to sign: RSA for RS256, P-256 for ES256, Ed25519 for EdDSA; no token chooses another.
Keys for anything else (encryption, other curves, other hashes) are passed over, as RFC 7517, 5 wants it.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from config.problems import ConfigError, KeyPath, Problem

MAX_TEXT: Final = 262_144
"""Characters of a whole set."""
MAX_KEYS: Final = 64
MAX_NAME: Final = 256
_RSA_BITS: Final = (2048, 8192)
"""Shorter can be broken; longer ones take their time, which strangers could have us spend."""
_MAX_EXPONENT: Final = (1 << 32) - 1
_BASE64: Final = re.compile(r"[A-Za-z0-9_-]+")
_LOW_ORDER: Final = frozenset(
    bytes.fromhex(y)
    for y in (
        "00" * 32,
        "01" + "00" * 31,
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        *(first + "ff" * 30 + "7f" for first in ("ec", "ed", "ee")),
    )
)
"""Points of Ed25519, their sign aside, whose eightfold is nothing: who is none can sign with such a key."""
_SECRET: Final = ("d", "k", "p", "q", "dp", "dq", "qi", "oth")


class _Family(NamedTuple):
    algorithms: tuple[str, ...]
    """As tokens name them."""
    curve: str
    numbers: dict[str, int]
    """Members that hold a number, and how many bytes it has; 0: as many as it needs."""


_FAMILIES: Final = {
    "RSA": _Family(("RS256",), "", {"n": 0, "e": 0}),
    "EC": _Family(("ES256",), "P-256", {"x": 32, "y": 32}),
    "OKP": _Family(("EdDSA", "Ed25519"), "Ed25519", {"x": 32}),  # the latter is RFC 9864's name
}


class VerifyingKey(NamedTuple):
    """One of the set, by which tokens can be checked."""

    algorithms: tuple[str, ...]
    members: tuple[tuple[str, str], ...]
    """What of the JWK makes the key, and nothing else."""


def parse_key_set(text: str, *, source: str) -> dict[str, VerifyingKey]:
    """The keys by their `kid`; `source` names the set in messages. Raises only ConfigError."""

    def fail(what: str) -> ConfigError:
        return ConfigError([Problem(source, None, (), what)])

    if len(text) > MAX_TEXT:
        raise fail(f"has more than {MAX_TEXT} characters")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise fail("is not JSON") from None
    keys = data.get("keys") if isinstance(data, dict) else None
    if not isinstance(keys, list):
        raise fail('is no key set: {"keys": [...]}')
    if len(keys) > MAX_KEYS:
        raise fail(f"has {len(keys)} keys, at most {MAX_KEYS}")
    problems, found = list[Problem](), dict[str, VerifyingKey]()
    for index, given in enumerate(keys):
        path: KeyPath = ("keys", index)
        complaints = list(_complaints(given, found))
        problems += [Problem(source, None, path + member, what) for member, what in complaints]
        if not complaints and (family := _family(given)):
            members = ("kty", *(("crv",) if family.curve else ()), *family.numbers)
            made = VerifyingKey(family.algorithms, tuple((name, given[name]) for name in members))
            found[given["kid"]] = made
    if problems:
        raise ConfigError(problems)
    if not found:
        raise fail("has no key for RS256, ES256 (P-256) or EdDSA (Ed25519)")
    return found


def _family(given: dict[str, Any]) -> _Family | None:
    """What the key is for; None if that is nothing that we do."""
    kind = given.get("kty")
    family = _FAMILIES.get(kind) if isinstance(kind, str) else None
    if family is None or given.get("crv", "") != family.curve:
        return None
    if (
        given.get("use", "sig") != "sig"
        or given.get("alg", family.algorithms[0]) not in family.algorithms
    ):
        return None
    operations = given.get("key_ops", ["verify"])
    return family if isinstance(operations, list) and "verify" in operations else None


def _complaints(
    given: object, others: dict[str, VerifyingKey]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with a key that we should be able to use. Never a value: it may be a secret."""
    if not isinstance(given, dict):
        yield (), "is no object"
        return
    for name in _SECRET:
        if name in given:
            yield (name,), "is a secret: of a key set everybody may know everything"
    family = _family(given)
    if family is None:
        return
    kid = given.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_NAME:
        yield ("kid",), f"must be a text of 1-{MAX_NAME} characters, by which tokens name the key"
    elif kid in others:
        yield ("kid",), "names another key of the set, too"
    for member, length in family.numbers.items():
        number = _decode(given.get(member))
        if number is None or (length and len(number) != length):
            yield (member,), f"must be {f'{length} bytes' if length else 'a number'} in base64url"
        elif what := _unfit(member, int.from_bytes(number)):
            yield (member,), what
        elif family.curve == "Ed25519" and number[:-1] + bytes((number[-1] & 0x7F,)) in _LOW_ORDER:
            yield (member,), "is a point of low order: with it anybody can sign"


def _unfit(member: str, number: int) -> str:
    """What is wrong with a number of RSA."""
    least, most = _RSA_BITS
    if member == "n" and not least <= number.bit_length() <= most:
        return f"has {number.bit_length()} bits instead of {least} to {most}"
    if member == "e" and not (number % 2 and 3 <= number <= _MAX_EXPONENT):
        return f"must be odd and in 3-{_MAX_EXPONENT}"
    return ""


def _decode(value: object) -> bytes | None:
    if not isinstance(value, str) or not _BASE64.fullmatch(value) or len(value) % 4 == 1:
        return None
    return urlsafe_b64decode(value + "=" * (-len(value) % 4))
