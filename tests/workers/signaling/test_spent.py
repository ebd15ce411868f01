from __future__ import annotations

import pytest

from workers.signaling import spent
from workers.signaling.spent import KEPT, Spent


def test_once_and_no_more() -> None:
    ids = Spent()
    assert ids.spend("a", 0.0)
    assert not ids.spend("a", 1.0)
    assert ids.spend("b", 1.0)
    assert not ids.spend("a", KEPT)
    assert not ids.spend("b", KEPT + 1.0)


def test_it_does_not_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spent, "MAX_SPENT", 2)
    ids = Spent()
    assert [ids.spend(name, 0.0) for name in "abc"] == [True, True, False]
    assert ids.spend("c", KEPT + 1.0)
