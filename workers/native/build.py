"""How the C modules are built: `setup.py` hands `relay` and `media` to setuptools.

cffi's API mode with the limited ABI gives one shared object for every CPython from 3.11 on.
"""

from __future__ import annotations

from pathlib import Path

from cffi import FFI

HERE = Path(__file__).parent


def module(name: str, header: str, sources: list[str]) -> FFI:
    """What builds `workers.native.<name>`, as declared by that header."""
    # cffi wants declarations and has no preprocessor.
    lines = (HERE / header).read_text().splitlines()
    builder = FFI()
    builder.cdef("\n".join(line for line in lines if not line.startswith("#")))
    builder.set_source(
        f"workers.native.{name}",
        f'#include "{header}"',
        sources=[f"workers/native/{source}" for source in sources],
        include_dirs=["workers/native"],
        depends=[f"workers/native/{path.name}" for path in sorted(HERE.glob("*.h"))],
        extra_compile_args=["-O2", "-Wall", "-Wextra", "-pthread"],
        extra_link_args=["-pthread", "-lm"],
        py_limited_api=True,
        optional=True,  # without a compiler the install passes, and Python does the work
    )
    return builder


relay = module("_fastpath", "fastpath.h", ["fastpath.c", "life.c"])
media = module(
    "_media",
    "media.h",
    [
        *("media.c", "media_in.c", "media_life.c", "media_out.c", "media_play.c"),
        *("media_probe.c", "media_talk.c", "media_wire.c"),
    ],
)
