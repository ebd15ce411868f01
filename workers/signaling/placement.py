"""Which transceiver gets the next session. Sans-IO.

The supervisor's table is a second old or more: a heartbeat with another number of sessions is sent once a
second. A burst placed by that table alone would all land on one transceiver, so what this worker has
placed lately counts on top. That may count a session twice for a moment, which only tilts the balance;
whether a transceiver is *full* is decided by its own word, never by this estimate.
"""

from __future__ import annotations

from collections.abc import Container

from config.ids import Instant, Route
from ipc.messages.routes import TransceiverEntry, Transceivers
from workers.http.problems import ProblemKind, Refused
from workers.signaling.recent import Recent


class Placement:
    """The supervisor's table and our own recent placements on top."""

    def __init__(self) -> None:
        self._table = Transceivers(entries=())
        self._recent: Recent[Route] = Recent()

    def update(self, table: Transceivers) -> None:
        """The supervisor's newest whole truth."""
        self._table = table

    @property
    def ready(self) -> bool:
        """A session offered now would find a transceiver."""
        return not self._table.draining and any(entry.accepting for entry in self._table.entries)

    @property
    def draining(self) -> bool:
        """The whole host drains."""
        return self._table.draining

    def choose(self, now: Instant, *, avoid: Container[Route] = ()) -> TransceiverEntry:
        """The accepting transceiver with the fewest sessions, counted as placed from now on.

        Raises Refused: DRAINING, NOT_READY or FULL.
        """
        self._recent.forget(now)
        if self._table.draining:
            raise Refused(ProblemKind.DRAINING, "this host is being drained; try another one")
        accepting = [entry for entry in self._table.entries if entry.accepting]
        if not accepting:
            raise Refused(ProblemKind.NOT_READY, "no transceiver accepts sessions yet")
        free = [entry for entry in accepting if entry.route not in avoid]
        if not free:
            sessions = sum(entry.sessions for entry in accepting)
            raise Refused(ProblemKind.FULL, f"{sessions} sessions are live and no room is left")
        chosen = min(free, key=lambda entry: entry.sessions + self._recent[entry.route])
        self._recent.add(chosen.route, now)
        return chosen

    def owner(self, route: Route) -> TransceiverEntry | None:
        """The transceiver boot that a session id names, accepting or not; None if it is gone."""
        return next((entry for entry in self._table.entries if entry.route == route), None)
