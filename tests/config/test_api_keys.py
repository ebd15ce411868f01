from __future__ import annotations

from contextlib import suppress
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.api_keys import MAX_KEYS, parse_api_keys
from config.problems import ConfigError

HASH = sha256(b"sk-some-key").hexdigest()


def test_names_and_hashes() -> None:
    text = f'# keys\nshop = "sha256:{HASH}"\n"crm.2" = "sha256:{HASH.upper()}"\n'
    digest = bytes.fromhex(HASH)
    assert parse_api_keys(text, source="f") == {"shop": digest, "crm.2": digest}
    assert parse_api_keys("", source="f") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shop", 'f: is not lines of the form NAME = "sha256:..."'),
        ('a = "x"\nb = 3\n', "f:1: a: must be"),
        (f'\n\nshop = "{HASH}"', "f:3: shop: must be"),
        (f'shop = "sha256:{HASH}0"', "f:1: shop: must be"),
        (f'[shop]\nkey = "sha256:{HASH}"', "shop: must be"),
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
