"""The host's own keys on disk: whole, private, in order."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.supervisor.own_keys import keep_key, new_key, next_id, own_keys, path_of


def test_in_the_order_in_which_they_were_made(tmp_path: Path) -> None:
    for age, key_id in ((30, "0"), (20, "z"), (10, "5")):
        path = path_of(tmp_path, key_id)
        keep_key(path, new_key())
        os.utime(path, (1e9 - age, 1e9 - age))
        assert path.stat().st_mode & 0o777 == 0o600
    assert [key.id for key in own_keys(tmp_path)] == ["0", "z", "5"]
    assert {path.name for path in tmp_path.iterdir()} == {"ufrag.key", "ufrag.key.z", "ufrag.key.5"}


@pytest.mark.parametrize(
    ("taken", "newest", "expected"),
    [({"0"}, "0", "1"), ({"0", "1", "2"}, "1", "3"), ({"z"}, "z", "0"), ({"9"}, "9", "A")],
)
def test_the_next_id_is_one_that_names_no_key(taken: set[str], newest: str, expected: str) -> None:
    assert next_id(taken, newest) == expected
