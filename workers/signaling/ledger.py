"""Whether a client secret that is for one call has placed it: here, on this host, anywhere in the fleet.

This process asks itself first, then a file that all signaling processes of the host share, then Redis by
way of the fleet worker, if there is one. The file outlives processes, so reloads, upgrades and crashes; it
goes with the runtime directory. Neither it nor Redis can hold a call up: what does not answer is counted,
and the word of those before it stands.
"""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Final

import trio

from ipc.messages.fleet import SecretSpent, SpendSecret
from ipc.rpc import RpcClient, RpcFailed, RpcTimeout
from workers.signaling.spent import KEPT, MAX_SPENT, Spent

FILE: Final = "spent-secrets.db"
FLEET_WITHIN: Final = 0.05
"""Seconds that Redis may take."""
_FILE_WITHIN: Final = 0.05
"""Seconds to wait for another process that is writing."""
_PRUNE_EVERY: Final = 60.0
_SCHEMA: Final = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
CREATE TABLE IF NOT EXISTS spent (secret TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
"""


class Ledger:
    """Its counters: `spent`, `again`, and who could not be asked, `file_failed` and `fleet_silent`."""

    def __init__(self, file: Path | None = None, fleet: str = "") -> None:
        """`fleet`: end point of the fleet worker's desk; empty: there is no Redis."""
        self.counters: Counter[str] = Counter()
        self._own = Spent()
        self._file = file
        self._database: sqlite3.Connection | None = None
        self._pruned = -math.inf
        self._written = 0
        self._fleet = RpcClient(fleet) if fleet else None

    async def spend(self, secret: str, now: float) -> bool:
        """Whether it was still to be had. `now`: seconds since 1970, which processes and hosts share."""
        first = (
            self._own.spend(secret, now)
            and self._first_of_host(secret, now)
            and await self._first_of_fleet(secret)
        )
        self.counters["spent" if first else "again"] += 1
        return first

    def close(self) -> None:
        """Let go of the file and of the desk."""
        if self._database is not None:
            self._database.close()
        if self._fleet is not None:
            self._fleet.close()

    def _first_of_host(self, secret: str, now: float) -> bool:
        if self._file is None:
            return True
        try:
            if self._database is None:
                self._database = _open(self._file)
            return self._enter(self._database, secret, now)
        except sqlite3.Error:
            self.counters["file_failed"] += 1
            return True

    def _enter(self, database: sqlite3.Connection, secret: str, now: float) -> bool:
        with database:
            if abs(now - self._pruned) >= _PRUNE_EVERY:
                database.execute("DELETE FROM spent WHERE at < ?", (now - KEPT,))
                (self._written,) = database.execute("SELECT count(*) FROM spent").fetchone()
                self._pruned = now
            if self._written >= MAX_SPENT:
                return False
            entered = database.execute("INSERT OR IGNORE INTO spent VALUES (?, ?)", (secret, now))
            self._written += entered.rowcount
            return entered.rowcount == 1

    async def _first_of_fleet(self, secret: str) -> bool:
        if self._fleet is None:
            return True
        try:
            reply = await self._fleet.call(SpendSecret(secret), FLEET_WITHIN)
        except (RpcTimeout, RpcFailed, trio.ClosedResourceError):
            reply = None
        if not isinstance(reply, SecretSpent) or not reply.asked:
            self.counters["fleet_silent"] += 1
            return True
        return reply.first


def _open(file: Path) -> sqlite3.Connection:
    database = sqlite3.connect(file, timeout=_FILE_WITHIN)
    try:
        database.executescript(_SCHEMA)
    except BaseException:
        database.close()
        raise
    return database
