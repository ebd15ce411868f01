"""Opening libopus, and what is said when it is not there."""

from __future__ import annotations

import pytest

from workers.transceiver.audio import libopus
from workers.transceiver.audio.library import LibraryMissing
from workers.transceiver.audio.opus import OpusDecoder, OpusEncoder


def test_it_opens_once() -> None:
    assert libopus.load() is libopus.load()
    assert libopus.load().lib.opus_decode


def test_without_it_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libopus, "SONAME", "libopus-hidden.so.0")
    libopus.load.cache_clear()
    try:
        for make in (libopus.load, lambda: OpusDecoder(16_000), lambda: OpusEncoder(16_000)):
            with pytest.raises(LibraryMissing, match="install libopus0"):
                make()
    finally:
        monkeypatch.undo()
        libopus.load.cache_clear()
    libopus.load()
