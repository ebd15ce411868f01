"""What an operator has ordered that must outlive the supervisor, though not the appliance.

A host that was drained for maintenance must not take sessions because its supervisor crashed or runs a new
version. The file is in the runtime directory: it goes with an end in order, and with a reboot.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from appliance.supervisor.core.interface import Cordons

_FILE: Final = "cordons.json"


class Orders:
    """The cordons, on file."""

    def __init__(self, directory: Path, *, heir: bool) -> None:
        """`heir`: the last supervisor here did not end in order, so what it was told still holds."""
        self._path = directory / _FILE
        self.cordons = Cordons()
        """In force at the start."""
        if heir:
            with suppress(OSError, msgspec.DecodeError):
                self.cordons = msgspec.json.decode(self._path.read_bytes(), type=Cordons)
        else:
            self.forget()

    def keep(self, cordons: Cordons) -> None:
        """These are in force. Raises OSError."""
        draft = self._path.with_suffix(".new")
        draft.write_bytes(msgspec.json.encode(cordons))
        draft.replace(self._path)

    def forget(self) -> None:
        """The appliance ends."""
        self._path.unlink(missing_ok=True)
