"""Key sets as providers publish them, and what must not be in one."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from contextlib import suppress
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from config.key_set import MAX_KEYS, MAX_TEXT, parse_key_set
from config.problems import ConfigError
from tests.support.identity import make_key, public

RSA, EC, ED = (public(make_key(name), name) for name in ("RS256", "ES256", "EdDSA"))


def text(*keys: Any) -> str:
    return json.dumps({"keys": keys})


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_key_set(text, source="f")
    return [str(problem) for problem in caught.value.problems]


def test_a_key_is_for_its_own_way_to_sign() -> None:
    certificate = {"x5c": ["MII"], "x5t": "x", "alg": "RS256"}
    found = parse_key_set(text(RSA | certificate, EC, ED), source="f")
    assert {kid: key.algorithms for kid, key in found.items()} == {
        "RS256": ("RS256",),
        "ES256": ("ES256",),
        "EdDSA": ("EdDSA", "Ed25519"),
    }
    assert dict(found["RS256"].members) == {name: RSA[name] for name in ("kty", "n", "e")}
    assert dict(found["ES256"].members) == {name: EC[name] for name in ("kty", "crv", "x", "y")}


@pytest.mark.parametrize(
    "other",
    [
        RSA | {"use": "enc", "alg": "RSA-OAEP"},
        RSA | {"alg": "RS512"},
        RSA | {"key_ops": ["encrypt"]},
        RSA | {"key_ops": "verify"},
        EC | {"crv": "P-384"},
        ED | {"crv": "X25519"},
        {"kty": "AKP", "alg": "ML-DSA-44", "pub": "x"},
        {"kty": 7},
        {},
    ],
)
def test_keys_for_something_else_are_passed_over(other: dict[str, Any]) -> None:
    assert list(parse_key_set(text(other | {"kid": "other"}, EC), source="f")) == ["ES256"]
    assert problems(text(other)) == ["f: has no key for RS256, ES256 (P-256) or EdDSA (Ed25519)"]


def test_all_that_is_wrong_is_said_at_once() -> None:
    short = public(make_key("RS256"), "short", n="w" * 171)
    private = make_key("EdDSA").as_dict(private=True) | {"kid": "mine"}
    assert problems(
        text(
            EC,
            EC,
            7,
            RSA | {"kid": ""},
            {name: value for name, value in RSA.items() if name != "n"} | {"kid": "no n"},
            short,
            private,
            EC | {"kid": "x", "x": EC["x"][:-2], "y": "+/=="},
            RSA | {"kid": "e", "e": "AQAA"},
            {"kty": "oct", "k": "c2VjcmV0", "kid": "h"},
        )
    ) == [
        "f: keys[1].kid: names another key of the set, too",
        "f: keys[2]: is no object",
        "f: keys[3].kid: must be a text of 1-256 characters, by which tokens name the key",
        "f: keys[4].n: must be a number in base64url",
        "f: keys[5].n: has 1024 bits instead of 2048 to 8192",
        "f: keys[6].d: is a secret: of a key set everybody may know everything",
        "f: keys[7].x: must be 32 bytes in base64url",
        "f: keys[7].y: must be 32 bytes in base64url",
        "f: keys[8].e: must be odd and in 3-4294967295",
        "f: keys[9].k: is a secret: of a key set everybody may know everything",
    ]


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", 'is no key set: {"keys": [...]}'),
        ('{"keys": {}}', 'is no key set: {"keys": [...]}'),
        ('{"keys": []}', "has no key for RS256, ES256 (P-256) or EdDSA (Ed25519)"),
        (text(*[EC] * (MAX_KEYS + 1)), f"has {MAX_KEYS + 1} keys, at most {MAX_KEYS}"),
        (" " * (MAX_TEXT + 1), f"has more than {MAX_TEXT} characters"),
    ],
)
def test_what_is_no_set_at_all(given: str, what: str) -> None:
    assert problems(given) == [f"f: {what}"]


ORDER_EIGHT = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"


@pytest.mark.parametrize("sign", [0x00, 0x80])
@pytest.mark.parametrize("y", ["00" * 32, "01" + "00" * 31, "ec" + "ff" * 30 + "7f", ORDER_EIGHT])
def test_a_key_with_which_anybody_can_sign_is_refused(y: str, sign: int) -> None:
    key = bytearray.fromhex(y)
    key[-1] |= sign
    nobodys = bytes((1, *bytes(31))) + bytes(32)  # nothing, and no multiple of anything
    with suppress(ValueError):  # some have no such sign
        checks = Ed25519PublicKey.from_public_bytes(bytes(key))
        assert any(verifies(checks, nobodys, b"token %d" % number) for number in range(200))
    given = ED | {"x": urlsafe_b64encode(key).decode().rstrip("=")}
    assert problems(text(given)) == [
        "f: keys[0].x: is a point of low order: with it anybody can sign"
    ]


def verifies(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["kty", "crv", "kid", "n", "e", "x", "y", "use"]), JSON))
def test_nothing_but_a_problem_is_ever_raised(key: dict[str, Any]) -> None:
    for base in (RSA, EC, ED):
        try:
            parse_key_set(text(base | key), source="f")
        except ConfigError as error:
            assert error.problems
