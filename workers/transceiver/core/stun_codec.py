"""aioice's STUN codec without the rest of aioice, whose package module imports an ICE agent and DNS.

Both are of no use here and cost each process a fifth of its start-up. So the package is entered without
running its `__init__`; whoever imports aioice itself later gets it whole, with this same codec in it.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aioice import stun
else:
    spec = None if "aioice" in sys.modules else find_spec("aioice")
    if spec is not None:
        sys.modules["aioice"] = module_from_spec(spec)
    try:
        stun = import_module("aioice.stun")
    finally:
        if spec is not None:
            del sys.modules["aioice"]

__all__ = ["stun"]
