"""Shared libraries of the machine, opened by cffi when somebody needs them: no build, no wheel.

cffi lets go of the interpreter's lock around each call. Nobody here depends on that: a transceiver is one
process per core with one thread of Python.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from cffi import FFI


class LibraryMissing(Exception):
    """It is not on this machine; the text says what to install."""


class Library(NamedTuple):
    """One that is open."""

    ffi: Any
    lib: Any


def open_library(name: str, package: str, purpose: str, declarations: str) -> Library:
    """By its soname, such as `libopus.so.0`. Raises LibraryMissing, which names Debian's package."""
    ffi = FFI()
    ffi.cdef(declarations)
    try:
        return Library(ffi, ffi.dlopen(name))
    except OSError:
        raise LibraryMissing(
            f"{name} is missing, which {purpose} needs; install {package}"
        ) from None
