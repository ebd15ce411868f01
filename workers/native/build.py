"""How the C module is built: `setup.py` hands `ffibuilder` to setuptools.

cffi's API mode with the limited ABI gives one shared object for every CPython from 3.11 on.
"""

from __future__ import annotations

from pathlib import Path

from cffi import FFI

HERE = Path(__file__).parent
# cffi wants declarations and has no preprocessor.
DECLARATIONS = "\n".join(
    line for line in (HERE / "fastpath.h").read_text().splitlines() if not line.startswith("#")
)

ffibuilder = FFI()
ffibuilder.cdef(DECLARATIONS)
ffibuilder.set_source(
    "workers.native._fastpath",
    '#include "fastpath.h"',
    sources=["workers/native/fastpath.c", "workers/native/life.c"],
    include_dirs=["workers/native"],
    depends=[f"workers/native/{path.name}" for path in sorted(HERE.glob("*.h"))],
    extra_compile_args=["-O2", "-Wall", "-Wextra", "-pthread"],
    extra_link_args=["-pthread"],
    py_limited_api=True,
    optional=True,  # without a compiler the install passes, and the Python datapath runs
)
