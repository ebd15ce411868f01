"""Names in the runtime directory that more than one module works with."""

from __future__ import annotations

from typing import Final

WORKERS: Final = "workers"
"""0700: sockets between supervisor and workers, and their roster."""
IN_FORCE: Final = "in-force.toml"
"""The configuration that is in force."""
