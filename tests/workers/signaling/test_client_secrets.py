from __future__ import annotations

import base64
import json
import os
from hashlib import sha256
from hmac import digest

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey

from workers.http.http1 import MAX_HEAD
from workers.http.problems import ProblemKind, Refused
from workers.signaling.client_secrets import MAX_CLAIMS, PREFIX, ClientSecrets, Known
from workers.signaling.grants import Grant

KEYS = {"a": bytes(16), "b": bytes(range(16))}
SECRETS = ClientSecrets(KEYS, "a", os.urandom)
GRANT = Grant(
    key="shop",
    session={"model": "agent", "instructions": "Grüße"},
    metadata={"user": 7},
    backend="agent",
    max_duration=60.0,
)
NOW = 1_800_000_000.5
VALUE, EXPIRES_AT = SECRETS.mint(GRANT, now=NOW, seconds=600)


def test_what_was_granted_comes_back() -> None:
    known = SECRETS.read(VALUE)
    assert isinstance(known, Known)
    assert known.expires_at == EXPIRES_AT == 1_800_000_600
    assert len(known.grant.secret) == 24
    assert known.grant == msgspec.structs.replace(GRANT, secret=known.grant.secret)


def test_each_has_an_id_of_its_own() -> None:
    values = {SECRETS.mint(GRANT, now=NOW, seconds=600).value for _ in range(10)}
    ids = {known.grant.secret for value in values if (known := SECRETS.read(value))}
    assert len(values) == len(ids) == 10


def test_any_worker_with_the_same_keys_knows_it_and_no_other() -> None:
    assert ClientSecrets(KEYS, "b", os.urandom).read(VALUE) == SECRETS.read(VALUE)
    assert ClientSecrets({"a": bytes(15) + b"\1"}, "a", os.urandom).read(VALUE) is None
    assert ClientSecrets({"b": KEYS["b"]}, "b", os.urandom).read(VALUE) is None


def test_it_is_a_jwt_that_others_can_read() -> None:
    head, payload, _ = VALUE.removeprefix(PREFIX).split(".")
    decoded = [json.loads(base64.urlsafe_b64decode(part + "==")) for part in (head, payload)]
    assert decoded[0] == {"typ": "JWT", "alg": "HS256", "kid": "a"}
    assert decoded[1]["exp"] == EXPIRES_AT
    assert decoded[1]["grant"]["metadata"] == {"user": 7}


def test_what_our_key_has_signed_as_somebody_else_is_no_secret() -> None:
    key = OctKey.import_key(digest(KEYS["a"], b"tandem client secret 1", sha256))
    head, payload, _ = VALUE.removeprefix(PREFIX).split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    header = json.loads(base64.urlsafe_b64decode(head + "=="))
    again = PREFIX + jwt.encode(header, claims, key)
    assert SECRETS.read(again) == SECRETS.read(VALUE)
    assert SECRETS.read(PREFIX + jwt.encode(header, claims | {"iss": "another"}, key)) is None


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "head",
    [
        {"alg": "none"},
        {"alg": "none", "kid": "a"},
        {"alg": "HS512", "kid": "a"},
        {"alg": "RS256", "kid": "a"},
        {"alg": "HS256", "kid": "zz"},
        {"alg": "HS256", "kid": ["a"]},
        {"alg": "HS256", "kid": "a", "crit": ["x"]},
        {"alg": ["HS256"]},
        ["alg", "HS256"],
        7,
    ],
)
def test_the_header_decides_nothing(head: object) -> None:
    _, payload, signature = VALUE.removeprefix(PREFIX).split(".")
    for last in (signature, "A" * 43, ""):
        assert SECRETS.read(f"{PREFIX}{encoded(head)}.{payload}.{last}") is None


@given(st.integers(0, len(VALUE) - 1), st.sampled_from("AZaz09-_.e\n é"))
def test_a_changed_character_makes_it_nobodys(at: int, character: str) -> None:
    changed = VALUE[:at] + character + VALUE[at + 1 :]
    # The last character of 32 bytes in base64 has two bits that say nothing.
    if changed != VALUE and at != len(VALUE) - 1:
        assert SECRETS.read(changed) is None


@given(st.text() | st.text().map(PREFIX.__add__) | st.from_regex(r"ek_[\w-]+\.[\w-]+\.[\w-]{43}"))
def test_any_text_is_nobodys(text: str) -> None:
    assert SECRETS.read(text) is None


def test_what_would_not_fit_into_a_request_is_refused() -> None:
    big = Grant(session={"instructions": "x" * MAX_CLAIMS})
    with pytest.raises(Refused) as refused:
        SECRETS.mint(big, now=NOW, seconds=600)
    assert refused.value.kind is ProblemKind.TOO_LARGE
    fits = Grant(session={"instructions": "x" * (MAX_CLAIMS - 200)})
    value, _ = SECRETS.mint(fits, now=NOW, seconds=600)
    assert len(value) < MAX_HEAD - 2_048
    assert SECRETS.read(value) is not None
