"""Opening what is there and naming what is not."""

from __future__ import annotations

import pytest

from workers.transceiver.audio.library import LibraryMissing, open_library

DECLARATIONS = "double cos(double);"


def test_what_is_there_can_be_called() -> None:
    library = open_library("libm.so.6", "libc6", "arithmetic", DECLARATIONS)
    assert library.lib.cos(0.0) == 1.0
    assert library.ffi.sizeof("double") == 8


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(
        LibraryMissing, match=r"^libno\.so\.1 is missing, which nothing needs; install libno1$"
    ):
        open_library("libno.so.1", "libno1", "nothing", DECLARATIONS)
