"""Numbers of processes: each is given once on this host, also across restarts of the appliance.

Their low 16 bits are the epochs of transceivers, and a ufrag of an earlier boot must not be routable. Even
workers that die all the time need more than a day to come round. What was set aside and not given when the
supervisor ended is skipped.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from appliance.supervisor.own_keys import write_private
from appliance.supervisor.problems import CannotStart

_FILE: Final = "generation"
RESERVE: Final = 16
"""Numbers set aside with one write to the disk, which the successor of a relay need not wait for."""


class Generations:
    """Remembers, on disk, the last number that was given."""

    def __init__(self, state: Path) -> None:
        """Continue where the last appliance with this state directory stopped. Raises CannotStart."""
        self._path = state / _FILE
        self._kept = 0
        self.was_lost = False
        """The file was damaged and the count began anew."""
        try:
            self.next = max(1, int(self._path.read_text()) + 1)
        except FileNotFoundError:
            self.next = _from_clock()
        except ValueError:
            self.next, self.was_lost = _from_clock(), True
        except OSError as error:
            raise CannotStart([f"{self._path}: {error.strerror}"]) from None

    def keep(self, generation: int) -> None:
        """Remember that this one is given. Raises OSError if that fails: then it must not be used."""
        if generation > self._kept:
            self._write(generation + RESERVE - 1)
        self.next = max(self.next, generation + 1)

    def _write(self, last: int) -> None:
        draft = self._path.with_name(f".{_FILE}.{os.getpid()}")
        write_private(draft, f"{last}\n")
        draft.replace(self._path)
        self._kept = last


def _from_clock() -> int:
    """Where no earlier count is known: ahead of what any has reached, as none makes one a second."""
    return int(time.time()) % (1 << 16) + 1
