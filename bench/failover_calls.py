"""`python -m bench.failover_calls URL COUNT SECONDS`: bench.fault_calls with checks as browsers send them.

Chromium checks consent every 2.5 s; RFC 7675, and so `tandem call`, every 5 s give or take a fifth.
"""

from __future__ import annotations

import sys
from typing import Final

from bench import fault_calls
from workers.transceiver.core.ice import Ice

EVERY: Final = 2.5


def _interval(self: Ice) -> float:
    return EVERY


if __name__ == "__main__":
    Ice._consent_interval = _interval  # type: ignore[method-assign]
    count = int(sys.argv[2])
    # Over the whole time between two checks, as calls that know nothing of each other are.
    fault_calls.main(sys.argv[1], count, float(sys.argv[3]), rate=count / EVERY)
