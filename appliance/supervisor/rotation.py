"""`tandem keys`: which keys there are, and a new one for the host in place of its own.

    relays and signaling learn the new key -> it is on disk -> transceivers mint with it

So no ufrag is ever made that a relay cannot read, whatever dies in between. Workers learn keys with their
assignment: each step replaces some of them, and live calls go on, as in any reload. What the old key has
sealed (sessions under way, client secrets) stays good until the key is dropped.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import trio

from appliance.supervisor.keys import UfragKeys, load_keys
from appliance.supervisor.outfit import Outfitter
from appliance.supervisor.own_keys import KEPT, keep_key, new_key, next_id, own_keys, path_of
from appliance.supervisor.problems import CannotStart
from config.ids import Role
from config.model import Config
from ipc.log import Logger
from ipc.messages.admin import Failure
from ipc.messages.keys import KeysReply, KeysRequest, KeyStatus, RotateKeys

_READERS: Final = frozenset({Role.RELAY, Role.SIGNALING})
_MINTS: Final = frozenset({Role.TRANSCEIVER})


class KeyDesk:
    """Knows the keys of a running appliance."""

    def __init__(
        self,
        config: Callable[[], Config],
        state: Path,
        outfitter: Outfitter,
        learn: Callable[[UfragKeys, frozenset[Role]], Awaitable[str]],
        log: Logger,
    ) -> None:
        """`learn` replaces the workers of these roles, so that they have these keys; gives the problem."""
        self._config = config
        self._state = state
        self._outfitter = outfitter
        self._learn = learn
        self._log = log
        self._turn = trio.Lock()
        """Two that rotate at a time would give one id to two keys."""

    async def answer(self, request: KeysRequest | RotateKeys) -> KeysReply | Failure:
        """One request of `tandem keys`."""
        try:
            match request:
                case KeysRequest():
                    return KeysReply(self._list())
                case RotateKeys(drop=key_id):
                    async with self._turn:
                        return await (self._drop(key_id) if key_id else self._rotate())
        except OSError as error:
            return Failure(f"{error.filename}: {error.strerror}")
        except CannotStart as error:
            return Failure("; ".join(error.problems))

    def _list(self) -> tuple[KeyStatus, ...]:
        section, keyring = self._config().ufrag, self._outfitter.keyring
        own = {key.id: key for key in own_keys(self._state)}
        minting = self._outfitter.minting
        rows = []
        for key_id, key in keyring.keys.items():
            if section.keys:
                path = Path(section.keys[key_id]) if key_id in section.keys else None
            else:
                path = own[key_id].path if key_id in own else None
            rows.append(
                KeyStatus(
                    id=key_id,
                    fingerprint=hashlib.sha256(key).hexdigest()[:16],
                    file="" if path is None else str(path),
                    age=_age(path),
                    mints=key_id == keyring.minting(section),
                    minted_by=tuple(sorted(name for name, used in minting if used == key_id)),
                )
            )
        return tuple(rows)

    async def _rotate(self) -> KeysReply | Failure:
        if self._config().ufrag.keys:
            return Failure(
                "ufrag.keys are the operator's: add the new one under a new id and name it in "
                "ufrag.mint_with; tandem reload does the rest, and the old one goes with the next reload"
            )
        keyring = self._outfitter.keyring
        old, before = self._own(), keyring.minting(self._config().ufrag)
        key_id = next_id(set(keyring.keys) | set(old.keys), before)
        wanted = UfragKeys({**old.keys, key_id: new_key()}, key_id)
        if problem := await self._learn(wanted, _READERS):
            return self._give_up(old, problem)
        path = path_of(self._state, key_id)
        keep_key(path, wanted.keys[key_id])
        keyring.own = key_id
        if problem := await self._learn(wanted, _MINTS):
            keyring.own = before
            path.unlink()
            return self._give_up(old, problem)
        for key in own_keys(self._state)[:-KEPT]:
            key.path.unlink()
        self._outfitter.drop_keys(self._own())
        self._log.info("key rotated", old=before, new=key_id)
        return KeysReply(self._list())

    async def _drop(self, key_id: str) -> KeysReply | Failure:
        if self._config().ufrag.keys:
            return Failure(
                "ufrag.keys are the operator's: take it out of the file, then: tandem reload"
            )
        mine = {key.id: key for key in own_keys(self._state)}
        if key_id not in mine:
            return Failure(f"there is no key {key_id!r} of this host's own")
        if key_id == self._outfitter.keyring.minting(self._config().ufrag):
            return Failure(f"key {key_id} mints now: rotate first")
        if users := [name for name, used in self._outfitter.minting if used == key_id]:
            return Failure(f"{', '.join(sorted(users))} still has sessions of key {key_id}")
        mine[key_id].path.unlink()
        self._outfitter.drop_keys(self._own())
        if problem := await self._learn(self._own(), _READERS):
            why = f"key {key_id} is gone from disk, and with the next replacement from relays"
            return Failure(f"{why}: {problem}")
        self._log.info("key dropped", id=key_id)
        return KeysReply(self._list())

    def _own(self) -> UfragKeys:
        return load_keys(self._config().ufrag, self._state)

    def _give_up(self, old: UfragKeys, problem: str) -> Failure:
        self._outfitter.drop_keys(old)
        self._log.error("key not rotated", why=problem)
        return Failure(f"the old key stays: {problem}")


def _age(path: Path | None) -> float | None:
    if path is None:
        return None
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return None
