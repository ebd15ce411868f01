from __future__ import annotations

from contextlib import suppress
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.api_keys import MAX_KEYS, ApiKey, Scope, Terms, parse_api_keys
from config.problems import ConfigError

HASH = sha256(b"sk-some-key").hexdigest()


def test_names_and_hashes() -> None:
    text = f'# keys\nshop = "sha256:{HASH}"\n"crm.2" = "sha256:{HASH.upper()}"\n'
    digest = bytes.fromhex(HASH)
    assert parse_api_keys(text, source="f") == {"shop": ApiKey(digest), "crm.2": ApiKey(digest)}
    assert parse_api_keys("", source="f") == {}


def test_what_a_key_may() -> None:
    text = f"""
[kiosk]
hash = "sha256:{HASH}"
scopes = ["secrets"]
backends = ["agent"]
sessions = 50
calls_per_minute = 120
expires = 2027-06-30
"""
    assert parse_api_keys(text, source="f")["kiosk"] == ApiKey(
        bytes.fromhex(HASH),
        Terms(frozenset({Scope.SECRETS}), ("agent",), 50, 120),
        1_814_313_600.0,
    )


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("1970-01-02", 86_400.0),
        ("1970-01-01T00:01:00", 60.0),
        ("1970-01-01T01:00:00+01:00", 0.0),
    ],
)
def test_dates_without_an_offset_are_utc(written: str, seconds: float) -> None:
    text = f'[k]\nhash = "sha256:{HASH}"\nexpires = {written}'
    assert parse_api_keys(text, source="f")["k"].expires == seconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shop", 'f: is not lines of the form NAME = "sha256:..."'),
        ('a = "x"\nb = 3\n', "f:1: a: must be"),
        (f'\n\nshop = "{HASH}"', "f:3: shop: must be"),
        (f'shop = "sha256:{HASH}0"', "f:1: shop: must be"),
        (f'[shop]\nkey = "sha256:{HASH}"', "f:1: shop: has no hash"),
        (f'[shop]\nkey = "sha256:{HASH}"', "f:2: shop.key: is none of hash, scopes,"),
        ('[shop]\nhash = "sk-secret"', 'f:2: shop.hash: must be "sha256:"'),
        (f'[shop]\nhash = "sha256:{HASH}"\nscopes = []', "f:3: shop.scopes: must be a list"),
        (f'[shop]\nhash = "sha256:{HASH}"\nscopes = ["all"]', "calls and secrets, one or both"),
        (f'[shop]\nhash = "sha256:{HASH}"\nbackends = "a"', "shop.backends: must be a list"),
        (f'[shop]\nhash = "sha256:{HASH}"\nsessions = -1', "shop.sessions: must be a whole"),
        (f'[shop]\nhash = "sha256:{HASH}"\nsessions = true', "shop.sessions: must be a whole"),
        (f'[shop]\nhash = "sha256:{HASH}"\nexpires = "soon"', "shop.expires: must be a date"),
        (f'"a b" = "sha256:{HASH}"', "the name 'a b' is not"),
        ("\n".join(f"k{n} = 1" for n in range(MAX_KEYS + 1)), "at most 1024"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_api_keys(text, source="f")
    assert message in str(raised.value)


def test_a_key_in_the_place_of_its_hash_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as raised:
        parse_api_keys('shop = "sk-very-secret"', source="f")
    assert "sk-very-secret" not in str(raised.value)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(ConfigError):
        assert isinstance(parse_api_keys(text, source="f"), dict)
