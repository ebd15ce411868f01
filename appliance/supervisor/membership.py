"""What this host is in a fleet, and what it has leased there: kept in the state directory.

<state>/host      the name that the host gave itself at its first start
<state>/numbers   numbers of its transceivers, and when they were prolonged last
"""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path
from typing import Final

from appliance.supervisor.own_keys import write_private
from appliance.supervisor.problems import CannotStart
from config.ids import ClusterId, HostId, TransceiverId

GOOD_FOR: Final = 43_200.0
"""Seconds that numbers may be used without asking: half of what the registry gives, as clocks differ."""
_DIGITS: Final = 16


class Membership:
    """Reads at the start, writes when there is news."""

    def __init__(self, state: Path, cluster: ClusterId) -> None:
        """Raises CannotStart if the state directory cannot be used."""
        self._cluster = cluster
        self._numbers = state / "numbers"
        self.host = _own_name(state / "host")
        self.ids = self._read()
        """Numbers that were leased in this cluster, and not too long ago."""

    def keep(self, ids: tuple[TransceiverId, ...]) -> None:
        """These are ours as of now. Raises OSError."""
        text = json.dumps({"cluster": self._cluster, "ids": ids, "prolonged": int(time.time())})
        draft = self._numbers.with_name(".numbers")
        write_private(draft, text + "\n")
        draft.replace(self._numbers)
        self.ids = ids

    def _read(self) -> tuple[TransceiverId, ...]:
        """None, rather than wrong ones: then they are leased anew."""
        try:
            kept = json.loads(self._numbers.read_text(encoding="ascii"))
            ids = [int(number) for number in kept["ids"]]
            age = time.time() - float(kept["prolonged"])
            same = kept["cluster"] == self._cluster
        except (OSError, ValueError, TypeError, KeyError):
            return ()
        good = same and 0 <= age < GOOD_FOR and all(0 <= number < 1 << 16 for number in ids)
        return tuple(map(TransceiverId, ids)) if good else ()


def _own_name(path: Path) -> HostId:
    try:
        if not path.exists():
            write_private(path, secrets.token_hex(_DIGITS // 2) + "\n")
        name = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CannotStart([f"{path}: {error}"]) from None
    if len(name) != _DIGITS or not all(digit in "0123456789abcdef" for digit in name):
        raise CannotStart([f"{path}: is damaged; remove it, and the host gives itself a new name"])
    return HostId(name)
