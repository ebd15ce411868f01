"""Which session a link label stands for, and by which label a session's path is reached.

A path belongs to a session; a label is a relay's short number for a flow, and only the current way to
that path. The two directions are apart on purpose:

* sending follows the newest accepted record at once, so that a relay which takes over a flow takes
  the return way with it;
* receiving on a label that stands for another session moves only when the new session's path is
  proven: a signed check can be replayed from, or spoofed as, another address (docs/wire.md, 2).
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Final, Generic, NamedTuple, TypeVar

from config.ids import Endpoint
from workers.transceiver.core.interface import Path
from workers.transceiver.core.streams.interface import LinkLabel as LinkLabel

MAX_LABELS: Final = 32
"""Labels of one session, and ways of one; an unproven one, or else the oldest, makes room."""

Owner = TypeVar("Owner")


class Bound(NamedTuple, Generic[Owner]):
    """What a label stands for."""

    owner: Owner
    path: Path


class Labels(Generic[Owner]):
    """Labels, paths and the sessions that own them. Owners are compared by identity."""

    def __init__(self) -> None:
        self._bound: dict[tuple[Endpoint, int], Bound[Owner]] = {}
        self._labels: dict[Owner, dict[LinkLabel, bool]] = {}
        """Labels that stand for an owner, oldest first; True once proven."""
        self._ways: dict[Owner, dict[Path, LinkLabel]] = {}
        self._sharers: dict[Path, list[Owner]] = {}
        self.moved: list[tuple[LinkLabel, Owner | None]] = []
        """Labels that stand for somebody else than before, or for nobody; for one reader, who clears it."""
        self.changed: dict[Owner, None] = {}
        """Owners of whose labels or ways one has changed; likewise."""
        # Once per packet: the dictionary's own method, which takes a plain tuple as well.
        self.receiver: Callable[[tuple[Endpoint, int]], Bound[Owner] | None] = self._bound.get
        """Whose datagrams come with that (relay, label)."""

    def __len__(self) -> int:
        return len(self._bound)

    def way(self, owner: Owner, path: Path) -> LinkLabel | None:
        """The label that reaches that path now."""
        ways = self._ways.get(owner)
        return None if ways is None else ways.get(path)

    def of(self, owner: Owner) -> tuple[LinkLabel, ...]:
        """The labels that stand for an owner."""
        return tuple(self._labels.get(owner, ()))

    def of_client(self, client: Endpoint) -> Owner | None:
        """An owner that accepted a record from that address; looks through all, for an operator."""
        found = (owners for path, owners in self._sharers.items() if path.remote == client)
        return next((owners[0] for owners in found if owners), None)

    def sharers(self, path: Path) -> tuple[Owner, ...]:
        """Sessions that accepted a record on that path; the one that receives there comes first."""
        return tuple(self._sharers.get(path, ()))

    def bind(self, owner: Owner, path: Path, at: LinkLabel, *, proven: bool) -> None:
        """The owner accepted a record that came on that path with that label."""
        self._set_way(owner, path, at)
        bound = self._bound.get(at)
        if bound is not None and bound.owner is not owner:
            if not proven:
                self._share(owner, path, first=False)
                return
            self._take(bound.owner, at)
        self._share(owner, path, first=True)
        if at not in self._bound:
            self.moved.append((at, owner))
        self._bound[at] = Bound(owner, path)
        labels = self._labels.setdefault(owner, {})
        proven = labels.pop(at, False) or proven
        if len(labels) >= MAX_LABELS:
            self._take(owner, next((a for a, was in labels.items() if not was), next(iter(labels))))
        labels[at] = proven

    def unbind(self, at: LinkLabel) -> bool:
        """The relay does not know that label. False if nor did we."""
        bound = self._bound.get(at)
        if bound is None:
            return False
        self._take(bound.owner, at)
        return True

    def keep(self, relays: Container[Endpoint]) -> None:
        """There are no other relays any more: forget what was theirs, ways and labels."""
        for at in [at for at in self._bound if at[0] not in relays]:
            self.unbind(LinkLabel(*at))

    def remove(self, owner: Owner) -> tuple[LinkLabel, ...]:
        """The session is closed: all labels that stand for it, for the relays to forget."""
        labels = tuple(self._labels.pop(owner, ()))
        for at in labels:
            del self._bound[at]
        for path in self._ways.pop(owner, ()):
            self._leave(owner, path)
        self.changed.pop(owner, None)
        self.moved = [moved for moved in self.moved if moved[1] is not owner]
        return labels

    def _set_way(self, owner: Owner, path: Path, at: LinkLabel) -> None:
        ways = self._ways.setdefault(owner, {})
        if path not in ways and len(ways) >= MAX_LABELS:
            proven = self._labels.get(owner, {})
            victim = next((p for p, a in ways.items() if not proven.get(a)), next(iter(ways)))
            del ways[victim]
            self._leave(owner, victim)
        if ways.get(path) != at:
            ways[path] = at
            self.changed[owner] = None

    def _share(self, owner: Owner, path: Path, *, first: bool) -> None:
        sharers = self._sharers.setdefault(path, [])
        if owner not in sharers:
            sharers.append(owner)
        if first and sharers[0] is not owner:
            sharers.remove(owner)
            sharers.insert(0, owner)

    def _take(self, owner: Owner, at: LinkLabel) -> None:
        """That label no longer stands for that owner."""
        del self._bound[at]
        del self._labels[owner][at]
        self.moved.append((at, None))
        self.changed[owner] = None
        ways = self._ways[owner]
        for path in [path for path, way in ways.items() if way == at]:
            del ways[path]
            self._leave(owner, path)

    def _leave(self, owner: Owner, path: Path) -> None:
        sharers = self._sharers[path]
        sharers.remove(owner)
        if not sharers:
            del self._sharers[path]
