"""Keys in files: what is one, and whose file it may be in."""

from __future__ import annotations

from pathlib import Path

import pytest

from ipc.curve import KeyPair, is_key, read_public, read_secret
from ipc.zmq_trio import encode_key, key_pair_of, make_key_pair


def test_a_pair_is_made_and_found_again(tmp_path: Path) -> None:
    pair = make_key_pair()
    assert is_key(pair.public)
    assert is_key(pair.secret)
    assert key_pair_of(pair.secret) == pair
    assert pair.secret not in repr(pair)
    secret, public = tmp_path / "secret", tmp_path / "public"
    secret.write_text(pair.secret + "\n")
    secret.chmod(0o600)
    public.write_text(pair.public)
    assert KeyPair(read_public(public), read_secret(secret)) == pair


def test_a_secret_that_others_may_read_is_none(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(make_key_pair().secret)
    file.chmod(0o640)
    with pytest.raises(ValueError, match=r"others may use it \(mode 0640\)"):
        read_secret(file)


@pytest.mark.parametrize("text", ["", "x" * 39, "x" * 41, "x" * 39 + "~", "\xff" * 40])
def test_what_is_no_key(text: str, tmp_path: Path) -> None:
    assert not is_key(text)
    file = tmp_path / "key"
    file.write_text(text, encoding="latin-1")
    file.chmod(0o600)
    for read in (read_public, read_secret):
        with pytest.raises(ValueError, match="does not hold a key"):
            read(file)


def test_a_key_as_text() -> None:
    assert encode_key(bytes(32)) == "0" * 40
