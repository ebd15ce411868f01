"""Boot numbers of transceivers: a ufrag of an earlier boot must not be routable.

One counter for the host, drawn from at every start of a transceiver and kept when the appliance restarts. It
wraps after 65 536 starts; even workers that die all the time do not come round within hours.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from appliance.supervisor.keys import write_private
from appliance.supervisor.problems import CannotStart
from config.ids import Epoch

_FILE: Final = "epoch"
_MODULUS: Final = 1 << 16


class Epochs:
    """Draws boot numbers, each on disk before it is used."""

    def __init__(self, state: Path) -> None:
        """Continue where the last appliance with this state directory stopped. Raises CannotStart."""
        self._path = state / _FILE
        self.was_lost = False
        """The file was damaged and the counter began anew at a point given by the clock."""
        try:
            self._last = int(self._path.read_text()) % _MODULUS
        except FileNotFoundError:
            self._last = _from_clock()
        except (ValueError, UnicodeDecodeError):
            self._last, self.was_lost = _from_clock(), True
        except OSError as error:
            raise CannotStart([f"{self._path}: {error.strerror}"]) from None

    def draw(self) -> Epoch:
        """The next boot number. Raises OSError if it cannot be kept."""
        following = (self._last + 1) % _MODULUS
        draft = self._path.with_name(f".{_FILE}.{os.getpid()}")
        write_private(draft, f"{following}\n")
        draft.replace(self._path)
        self._last = following
        return Epoch(following)


def _from_clock() -> int:
    """A point that differs from that of any start in the last 18 hours."""
    return int(time.time()) % _MODULUS
