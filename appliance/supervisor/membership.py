"""What this host is in a fleet, and what it has leased there: kept in the state directory.

<state>/host      the name that the host gave itself at its first start
<state>/numbers   numbers of its transceivers, and when they were prolonged last
<state>/hosts     the other hosts: what workers route by that outlive a supervisor
"""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path
from typing import Final

from appliance.supervisor.core.interface import KeepHosts, KeepNumbers
from appliance.supervisor.own_keys import write_private
from appliance.supervisor.problems import CannotStart
from config.ids import ClusterId, HostId, TransceiverId
from ipc.codec import CodecError, decode, encode
from ipc.messages.fleet import FleetView

GOOD_FOR: Final = 43_200.0
"""Seconds that numbers may be used without asking: half of what the registry gives, as clocks differ."""
_DIGITS: Final = 16


class Membership:
    """Reads at the start, writes when there is news."""

    def __init__(self, state: Path, cluster: ClusterId) -> None:
        """Raises CannotStart if the state directory cannot be used."""
        self._cluster = cluster
        self._numbers = state / "numbers"
        self._hosts = state / "hosts"
        self.host = _own_name(state / "host")
        self.ids = self._read()
        """Numbers that were leased in this cluster, and not too long ago."""
        self.view = self._read_hosts()
        """What was known of other hosts."""

    def keep(self, news: KeepNumbers | KeepHosts) -> None:
        """Numbers that are ours as of now, or what is known of other hosts. Raises OSError."""
        match news:
            case KeepNumbers(ids=ids):
                kept = {"cluster": self._cluster, "ids": ids, "prolonged": int(time.time())}
                _write(self._numbers, json.dumps(kept))
            case KeepHosts(view=view):
                _write(self._hosts, encode(view).hex())

    def _read_hosts(self) -> FleetView:
        """Nobody, rather than anything else; who is gone meanwhile the fleet worker finds out."""
        try:
            view = decode(bytes.fromhex(self._hosts.read_text(encoding="ascii")))
        except (OSError, ValueError, CodecError):
            return FleetView(())
        return view if isinstance(view, FleetView) else FleetView(())

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


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.new")
    write_private(draft, text + "\n")
    draft.replace(path)


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
