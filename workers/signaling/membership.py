"""Who of another host may place calls here, and with whom we place calls: who has our keys of routes.

From each key a pair for CURVE is derived. So the hosts of a fleet know each other by what they share
anyway, and a key that is replaced there (docs/wire.md, section 1) is replaced here.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from hmac import digest
from typing import Final

from ipc.curve import ClientCurve
from ipc.zmq_trio import encode_key, key_pair_of

_LABEL: Final = b"tandem calls between hosts 1"


class Membership:
    """Of the fleet whose keys these are."""

    def __init__(self, keys: Mapping[str, bytes], mint_with: str) -> None:
        """`keys`: key id -> 16 bytes; `mint_with`: by which of them others know us."""
        pairs = {
            key_id: key_pair_of(encode_key(digest(key, _LABEL, sha256)))
            for key_id, key in keys.items()
        }
        self.own = pairs[mint_with]
        self._members = {f"key {key_id}": pair.public for key_id, pair in pairs.items()}

    def members(self) -> Mapping[str, str]:
        """Name -> public key, of all that may come in."""
        return self._members

    def curve(self, server: str) -> ClientCurve | None:
        """How to talk to a host that shows that public key; None if it is none of the fleet's."""
        return ClientCurve(self.own, server) if server in self._members.values() else None
