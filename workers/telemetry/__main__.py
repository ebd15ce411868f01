"""`python -m workers.telemetry`, started by the supervisor."""

from __future__ import annotations

import gc

# Imports make nothing but what stays: collecting among it costs a sixth of the start-up. `main` turns
# the collector on again.
gc.disable()

from config.ids import Role  # noqa: E402
from workers.process import main  # noqa: E402
from workers.telemetry.shell import serve  # noqa: E402

if __name__ == "__main__":
    main(Role.TELEMETRY, serve)
