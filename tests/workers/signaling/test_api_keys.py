from __future__ import annotations

from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from tests.support.access import KEY, OTHER_KEY, Keyring, line
from workers.signaling.api_keys import ApiKeys

NOW = 1_800_000_000.0


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path)


def test_only_the_whole_key_is_the_key(keyring: Keyring) -> None:
    assert keyring.keys.find(KEY, NOW) == "shop"
    for wrong in ("", KEY[:-1], KEY + "0", KEY.upper(), OTHER_KEY, "é" * 30, "\ud800" * 30):
        assert keyring.keys.find(wrong, NOW) is None


def test_the_file_is_read_again_when_it_changes(keyring: Keyring) -> None:
    keyring.write(line("crm", OTHER_KEY))
    assert keyring.keys.find(OTHER_KEY, NOW) == "crm"
    assert keyring.keys.find(KEY, NOW) is None
    assert keyring.keys.get("crm", NOW) is not None
    assert keyring.keys.get("shop", NOW) is None


def test_a_file_that_cannot_be_used_leaves_the_last_keys_and_one_line_in_the_log(
    keyring: Keyring,
) -> None:
    with capture_logs() as logs:
        for text in ("shop = 1", f"shop = {KEY}"):
            keyring.write(text)
            assert keyring.keys.find(KEY, NOW) == keyring.keys.find(KEY, NOW) == "shop"
        keyring.file.unlink()
        assert keyring.keys.find(KEY, NOW) == keyring.keys.find(KEY, NOW) == "shop"
    assert [each["log_level"] for each in logs] == ["error"] * 3
    assert KEY not in str(logs)


def test_without_a_file_nobody_is_let_in(tmp_path: Path) -> None:
    assert ApiKeys(tmp_path / "none", structlog.get_logger()).find(KEY, NOW) is None


def test_a_key_that_can_be_guessed_is_none(keyring: Keyring) -> None:
    keyring.write(line("short", "hunter2"))
    assert keyring.keys.find("hunter2", NOW) is None


def test_a_key_that_has_expired_is_none(keyring: Keyring) -> None:
    digest = line("shop", KEY).partition("=")[2]
    keyring.write(f"[shop]\nhash = {digest}\nexpires = 1970-01-02\n")
    assert keyring.keys.find(KEY, 86_399.0) == "shop"
    assert keyring.keys.find(KEY, 86_400.0) is None
    assert keyring.keys.get("shop", 86_399.0) is not None
    assert keyring.keys.get("shop", 86_400.0) is None
