"""Keys: the operator's files are checked, the host's own is made once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from appliance.supervisor.keys import Keyring, check_callers, load_keys, read_keys
from appliance.supervisor.own_keys import keep_key, path_of
from appliance.supervisor.problems import CannotStart
from config.model import AuthSection, Config, SignalingSection, UfragSection

KEY = bytes(range(16))


def key_file(directory: Path, name: str, text: str, mode: int = 0o600) -> str:
    path = directory / name
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_a_host_makes_its_own_key_once(tmp_path: Path) -> None:
    first = load_keys(UfragSection(), tmp_path)
    assert first.mint_with == "0"
    assert len(first.keys["0"]) == 16
    assert (tmp_path / "ufrag.key").stat().st_mode & 0o777 == 0o600
    assert load_keys(UfragSection(), tmp_path) == first
    assert [path.name for path in tmp_path.iterdir()] == ["ufrag.key"]


def test_two_hosts_make_different_keys(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = load_keys(UfragSection(), tmp_path / "a")
    assert one != load_keys(UfragSection(), tmp_path / "b")


def test_a_key_is_not_shown(tmp_path: Path) -> None:
    keys = load_keys(UfragSection(), tmp_path)
    assert keys.keys["0"].hex() not in repr(keys)
    assert repr(keys.keys["0"]) not in repr(keys)


def test_reads_named_files(tmp_path: Path) -> None:
    a = key_file(tmp_path, "a", f"{KEY.hex()}\n")
    b = key_file(tmp_path, "b", KEY[::-1].hex().upper(), 0o640)
    keys = load_keys(UfragSection(keys={"1": a, "Z": b}, mint_with="Z"), tmp_path)
    assert keys.keys == {"1": KEY, "Z": KEY[::-1]}
    assert keys.mint_with == "Z"
    assert load_keys(UfragSection(keys={"1": a}), tmp_path).mint_with == "1"


def test_every_problem_of_every_file_is_named(tmp_path: Path) -> None:
    section = UfragSection(
        keys={
            "1": str(tmp_path / "absent"),
            "2": key_file(tmp_path, "open", KEY.hex(), 0o644),
            "3": key_file(tmp_path, "short", KEY[:15].hex()),
            "4": key_file(tmp_path, "words", "not a key"),
            "5": str(tmp_path),
        },
        mint_with="1",
    )
    with pytest.raises(CannotStart) as caught:
        load_keys(section, tmp_path)
    assert caught.value.code == 78
    assert [problem.removeprefix("ufrag.keys.") for problem in caught.value.problems] == [
        f"1: {tmp_path}/absent: No such file or directory",
        f"2: {tmp_path}/open: others may use it (mode 0644); chmod 0600",
        f"3: {tmp_path}/short: holds 15 bytes instead of 16",
        f"4: {tmp_path}/words: does not hold hex digits",
        f"5: {tmp_path}: Is a directory",
    ]


def test_a_damaged_own_key_is_not_replaced_in_silence(tmp_path: Path) -> None:
    key_file(tmp_path, "ufrag.key", "")
    with pytest.raises(CannotStart, match="holds 0 bytes"):
        load_keys(UfragSection(), tmp_path)


def api_keys(file: str) -> None:
    check_callers(Config(signaling=SignalingSection(api_keys=file)))


def test_a_file_of_api_keys_that_signaling_can_use(tmp_path: Path) -> None:
    check_callers(Config())
    api_keys(key_file(tmp_path, "a", f'shop = "sha256:{"0" * 64}"\n', 0o640))


@pytest.mark.parametrize(
    ("text", "mode", "problem"),
    [
        ("shop = 1", 0o640, "a:1: shop: must be"),
        ("shop", 0o640, "is not lines of the form"),
        ("", 0o660, "others may change it (mode 0660)"),
        ("", 0o602, "others may change it (mode 0602)"),
    ],
)
def test_a_file_of_api_keys_that_it_cannot(
    tmp_path: Path, text: str, mode: int, problem: str
) -> None:
    with pytest.raises(CannotStart, match=re.escape(problem)):
        api_keys(key_file(tmp_path, "a", text, mode))
    with pytest.raises(CannotStart, match="No such file"):
        api_keys(str(tmp_path / "none"))


def test_all_that_is_wrong_with_files_of_who_may_call(tmp_path: Path) -> None:
    keys = key_file(tmp_path, "keys", "shop = 1")
    tokens = key_file(tmp_path, "set", '{"keys": [1, {"kty": "EC", "crv": "P-256", "kid": "a"}]}')
    config = Config(signaling=SignalingSection(api_keys=keys), auth=AuthSection(jwks_file=tokens))
    with pytest.raises(CannotStart) as caught:
        check_callers(config)
    assert caught.value.code == 78
    assert [problem.removeprefix(f"{tmp_path}/") for problem in caught.value.problems] == [
        'keys:1: shop: must be "sha256:" and 64 hex digits, the hash of the key',
        "set: keys[0]: is no object",
        "set: keys[1].x: must be 32 bytes in base64url",
        "set: keys[1].y: must be 32 bytes in base64url",
    ]
    Path(tokens).write_bytes(b"\xff")
    with pytest.raises(CannotStart, match=r"auth\.jwks_file: .*/set: is not UTF-8"):
        check_callers(Config(auth=AuthSection(jwks_file=tokens)))


def test_who_only_looks_makes_no_key(tmp_path: Path) -> None:
    assert read_keys(UfragSection(), tmp_path).keys == {}
    assert list(tmp_path.iterdir()) == []
    made = load_keys(UfragSection(), tmp_path)
    assert read_keys(UfragSection(), tmp_path) == made


def test_the_newest_of_the_hosts_own_keys_mints(tmp_path: Path) -> None:
    load_keys(UfragSection(), tmp_path)
    assert keep_key(path_of(tmp_path, "1"), KEY)
    assert not keep_key(path_of(tmp_path, "1"), KEY[::-1])
    keys = load_keys(UfragSection(), tmp_path)
    assert keys.mint_with == "1"
    assert keys.keys.keys() == {"0", "1"}
    assert keys.keys["1"] == KEY
    keyring = Keyring(keys)
    assert keyring.minting(UfragSection()) == "1"
    assert keyring.minting(UfragSection(keys={"a": "f"})) == "a"
    assert keyring.minting(UfragSection(keys={"a": "f", "b": "g"}, mint_with="b")) == "b"
