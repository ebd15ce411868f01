"""Tokens of a provider with real keys: whom they let in, and all that lets nobody in."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from contextlib import suppress
from hashlib import sha256
from hmac import digest
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import RSAKey

from config.api_keys import Scope, Terms
from config.key_set import VerifyingKey, parse_key_set
from config.model import AuthSection
from tests.support.identity import AUDIENCE, ISSUER, NOW, Provider, make_key, sign
from workers.http.problems import ProblemKind, Refused
from workers.signaling.grants import Grant
from workers.signaling.tokens import MAX_TOKEN, Tokens

PROVIDERS = {name: Provider(name, f"the {name}") for name in ("RS256", "ES256", "EdDSA")}
PROVIDER = PROVIDERS["ES256"]
SECTION = AuthSection(jwks_file="/x", issuer=ISSUER, audience=AUDIENCE, leeway=30.0)


class Published:
    """The keys of a provider, as they are now."""

    def __init__(self, *providers: Provider) -> None:
        self.providers = providers

    async def find(self, kid: str) -> VerifyingKey | None:
        for provider in self.providers:
            if found := parse_key_set(provider.document(), source="x").get(kid):
                return found
        return None


def tokens(section: AuthSection = SECTION, *providers: Provider) -> Tokens:
    return Tokens(Published(*(providers or PROVIDERS.values())), section)


async def refusal(token: str, *, at: float = NOW, it: Tokens | None = None) -> str:
    with pytest.raises(Refused) as refused:
        await (it or tokens()).read(token, at, expired_too=False)
    assert refused.value.kind is ProblemKind.UNAUTHORIZED
    assert 'error="invalid_token"' in refused.value.headers["www-authenticate"]
    return refused.value.detail


@pytest.mark.parametrize("algorithm", PROVIDERS)
async def test_a_token_under_each_kind_of_key(algorithm: str) -> None:
    claims: dict[str, Any] = {
        "aud": ["other", AUDIENCE],
        "email": "alice@example",
        "tandem": {"backend": "agent", "metadata": {"plan": "gold"}, "max_duration": 60},
    }
    section = SECTION.model_copy(
        update={"backends": ("agent",), "sessions": 2, "calls_per_minute": 9}
    )
    token = PROVIDERS[algorithm].token(**claims)
    admitted = await tokens(section).read(token, NOW, expired_too=False)
    assert admitted is not None
    grant, terms = admitted
    assert terms == Terms(frozenset({Scope.CALLS}), ("agent",), 2, 9)
    said = {"iss": ISSUER, "sub": "alice", "exp": NOW + 300} | claims
    assert grant == Grant(
        key="user:alice", backend="agent", metadata={"plan": "gold"}, max_duration=60, token=said
    )


async def test_eddsa_by_its_other_name() -> None:
    assert await tokens().read(
        PROVIDERS["EdDSA"].token({"alg": "Ed25519", "typ": "at+JWT"}), NOW, expired_too=False
    )


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": NOW - 30}, "the token has expired"),
        ({"exp": None}, "the token cannot be read"),
        ({"exp": "tomorrow"}, "the token cannot be read"),
        ({"nbf": NOW + 31}, "the token is not valid yet"),
        ({"iss": "https://evil.example"}, "the token is of another issuer"),
        ({"iss": ISSUER + "/"}, "the token is of another issuer"),
        ({"iss": None}, "the token cannot be read"),
        ({"aud": "other"}, "the token is for another audience"),
        ({"aud": AUDIENCE + "2"}, "the token is for another audience"),
        ({"aud": []}, "the token is for another audience"),
        ({"aud": None}, "the token cannot be read"),
        ({"sub": ""}, "the token must name its subject"),
        ({"sub": "x" * 256}, "the token must name its subject"),
        ({"sub": None}, "the token cannot be read"),
        ({"tandem": {"max_durations": 5}}, "the token cannot be read"),
        ({"tandem": {"max_duration": -1}}, "the token cannot be read"),
        ({"tandem": {"metadata": {"n": 1 << 64}}}, "the token: a number has more than 64 bits"),
        ({"groups": json.loads("[" * 40 + "]" * 40)}, "the token: more than 32 objects and lists"),
    ],
)
async def test_claims_that_let_nobody_in(claims: dict[str, Any], why: str) -> None:
    assert (await refusal(PROVIDER.token(**claims))).startswith(why)


async def test_clocks_may_differ_a_little() -> None:
    early, late = PROVIDER.token(nbf=NOW + 30), PROVIDER.token(exp=NOW - 29)
    assert await tokens().read(early, NOW, expired_too=False)
    assert await tokens().read(late, NOW, expired_too=False)
    strict = tokens(SECTION.model_copy(update={"leeway": 0.0}))
    assert await refusal(early, it=strict) == "the token is not valid yet"
    assert await refusal(PROVIDER.token(exp=NOW), it=strict) == "the token has expired"


async def test_an_expired_token_is_good_enough_where_that_is_said() -> None:
    old = PROVIDER.token(exp=NOW - 9999)
    assert await tokens().read(old, NOW, expired_too=True)
    with pytest.raises(Refused):
        await tokens().read(PROVIDER.token(exp=NOW - 9999, iss="x"), NOW, expired_too=True)


@pytest.mark.parametrize(
    ("claims", "enough"),
    [
        ({"scope": "openid tandem.call"}, True),
        ({"scope": ["tandem.call"]}, True),
        ({"scp": ["openid", "tandem.call"]}, True),
        ({"scp": "tandem.call"}, True),
        ({"scope": "tandem.calls"}, False),
        ({"scope": ["openid tandem.call"]}, False),
        ({}, False),
    ],
)
async def test_the_scope_that_is_needed(claims: dict[str, Any], enough: bool) -> None:
    it = tokens(SECTION.model_copy(update={"scope": "tandem.call"}))
    if enough:
        assert await it.read(PROVIDER.token(**claims), NOW, expired_too=False)
    else:
        assert "scope" in await refusal(PROVIDER.token(**claims), it=it)


def part(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


CLAIMS = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": NOW + 300}
NO_KEY = "the token names no key of the provider's, or not what it is for"


async def test_no_other_way_to_sign() -> None:
    kid = "the RS256"
    unsigned = f"{part({'alg': 'none', 'kid': kid})}.{part(CLAIMS)}."
    assert await tokens().read(unsigned, NOW, expired_too=False) is None
    assert await refusal(unsigned + "AA") == NO_KEY
    _, key = PROVIDERS["RS256"].keys[kid]
    assert isinstance(key, RSAKey)
    # The public key as a secret that everybody knows.
    for secret in (key.as_pem(private=False), json.dumps(key.as_dict(private=False)).encode()):
        signed = f"{part({'alg': 'HS256', 'kid': kid})}.{part(CLAIMS)}"
        mac = urlsafe_b64encode(digest(secret, signed.encode(), sha256)).rstrip(b"=").decode()
        assert await refusal(f"{signed}.{mac}") == NO_KEY
    assert await refusal(sign({"alg": "RS512", "kid": kid}, CLAIMS, key)) == NO_KEY
    assert await refusal(sign({"alg": "PS256", "kid": kid}, CLAIMS, key)) == NO_KEY
    # The name of one key, and what another one is for.
    assert await refusal(PROVIDER.token({"kid": kid})) == NO_KEY


async def test_no_other_key() -> None:
    assert await refusal(PROVIDER.token({"kid": "unknown"})) == NO_KEY
    stranger = make_key("ES256")
    for header in ({}, {"jwk": stranger.as_dict(private=False)}, {"jku": "https://evil.example/"}):
        forged = sign({"alg": "ES256", "kid": "the ES256", **header}, CLAIMS, stranger)
        assert await refusal(forged) == "the token was not signed with the key that it names"
    head, _, signature = PROVIDER.token().split(".")
    changed = f"{head}.{part(CLAIMS | {'sub': 'bob'})}.{signature}"
    assert await refusal(changed) == "the token was not signed with the key that it names"


async def test_a_key_that_is_none_lets_nobody_in() -> None:
    class Damaged:
        async def find(self, kid: str) -> VerifyingKey:
            point = {"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43}
            return VerifyingKey(("ES256",), tuple(point.items()))

    it = Tokens(Damaged(), SECTION)
    assert "was not signed" in await refusal(PROVIDER.token(), it=it)


async def test_what_is_no_token_at_all() -> None:
    for bearer in (
        "",
        "a.b",
        "a.b.c",
        "ek_" + PROVIDER.token(),
        PROVIDER.token(filler="x" * MAX_TOKEN),
        PROVIDER.token({"typ": "logout+jwt"}),
        sign({"alg": "ES256"}, CLAIMS, make_key("ES256")),
        f"{part([1])}.{part(CLAIMS)}.AAAA",
        f"{part({'alg': 'ES256', 'kid': 7})}.{part(CLAIMS)}.AAAA",
        f"{part({'alg': 'ES256', 'kid': 'the ES256', 'crit': ['x'], 'x': 1})}.{part(CLAIMS)}.AAAA",
        f"{part('[' * 3000)}.{part(CLAIMS)}.AAAA",
        "é.é.é",
    ):
        assert await tokens().read(bearer, NOW, expired_too=False) is None, bearer


async def test_what_is_signed_and_no_claims() -> None:
    _, key = PROVIDER.keys["the ES256"]
    header = {"alg": "ES256", "kid": "the ES256"}
    for claims in (b"[]", b"[" * 3000, b'"x"', b"\xff", b'{"exp": 1' + b"0" * 400 + b"}"):
        assert (await refusal(sign(header, claims, key))).startswith("the token: ")


@given(st.text(max_size=60), st.binary(max_size=60))
def test_nothing_but_a_refusal_is_ever_raised(text: str, noise: bytes) -> None:
    middle = urlsafe_b64encode(noise).rstrip(b"=").decode()
    head, body, signature = PROVIDER.token().split(".")

    async def read() -> None:
        parts = ((head, middle, signature), (head, body, middle), (middle, body, signature))
        for bearer in (text, *map(".".join, parts)):
            with suppress(Refused):
                await tokens().read(bearer, NOW, expired_too=False)

    trio.run(read)
