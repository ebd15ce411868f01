from __future__ import annotations

from importlib import metadata

import pytest

from ipc.release import release


def test_it_is_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert release()[0].isdigit()
    release.cache_clear()

    def none(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", none)
    assert release() == "unknown"
    release.cache_clear()
