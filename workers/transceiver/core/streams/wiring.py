"""What a media plane has been told: which stream is whose, with which labels, which way, to whom.

Sessions choose paths, labels stand for paths, back ends join sessions; from all three follows what the
plane is to do. Each method gives the commands that bring it there, and none when it is there already.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from config.ids import SessionId
from workers.transceiver.core.entry import Entry
from workers.transceiver.core.interface import OpenMedia, Path
from workers.transceiver.core.labels import Labels
from workers.transceiver.core.streams.interface import (
    BindLabel,
    CloseStream,
    ForwardStream,
    LinkLabel,
    OpenStream,
    ReceiveMedia,
    SetWay,
    Stream,
    StreamCommand,
    StreamStats,
    UnbindLabel,
)

Measure = Callable[[Stream], StreamStats]
"""A plane's figures of a stream."""


class Wiring:
    """Of all sessions with media."""

    def __init__(self, labels: Labels[Entry], measure: Measure) -> None:
        self._labels: Final = labels
        self._measure: Final = measure
        self._entries: list[Entry | None] = []
        """By stream; a stream whose end the plane has not confirmed is nobody's, and not free."""
        self._free: list[Stream] = []
        self._sources: dict[SessionId, dict[Entry, None]] = {}
        """Whose audio is to go to that session."""

    def owner(self, stream: Stream) -> Entry | None:
        """Whose stream it is; None while it is being closed."""
        return self._entries[stream]

    def stats(self, entry: Entry) -> StreamStats:
        """Figures of a session's audio, all nought before it has keys."""
        return StreamStats() if entry.stream is None else self._measure(entry.stream)

    # --- life -------------------------------------------------------------------------------------

    def open(self, entry: Entry, media: OpenMedia) -> list[StreamCommand]:
        """There are keys: the session's labels, and who waits for it, are joined to a new stream."""
        if self._free:
            stream = self._free.pop()
            self._entries[stream] = entry
        else:
            stream = len(self._entries)
            self._entries.append(entry)
        entry.stream = stream
        commands: list[StreamCommand] = [
            OpenStream(stream, media.keys, media.audio, media.ssrc, media.sequence)
        ]
        commands += [BindLabel(at, stream) for at in self._labels.of(entry)]
        if entry.target is not None:
            commands += self._join(entry)
        for source in self._sources.get(entry.id, ()):
            if source is not entry:
                commands += self._join(source)
        return commands

    def close(self, entry: Entry) -> list[StreamCommand]:
        """The session has ended; what was for it goes up again."""
        commands: list[StreamCommand] = []
        self._part(entry)
        for source in self._sources.pop(entry.id, ()):
            source.target = None
            if source.stream is not None:
                commands.append(ForwardStream(source.stream, None))
        if entry.stream is not None:
            commands.append(CloseStream(entry.stream))
            self._entries[entry.stream] = None
            entry.stream = None
        return commands

    def closed(self, stream: Stream) -> None:
        """The plane has nothing more to say of it."""
        self._free.append(stream)

    # --- who hears whom ---------------------------------------------------------------------------

    def forward(self, entry: Entry, target: Entry | None) -> list[StreamCommand]:
        """From now on, or from when both have streams."""
        self._part(entry)
        if target is None:
            return [] if entry.stream is None else [ForwardStream(entry.stream, None)]
        entry.target = target
        self._sources.setdefault(target.id, {})[entry] = None
        return self._join(entry)

    def _join(self, entry: Entry) -> list[StreamCommand]:
        target = entry.target
        if target is None or entry.stream is None or target.stream is None:
            return []
        return [ForwardStream(entry.stream, target.stream)]

    def _part(self, entry: Entry) -> None:
        if entry.target is not None:
            sources = self._sources[entry.target.id]
            del sources[entry]
            if not sources:
                del self._sources[entry.target.id]
            entry.target = None

    # --- labels and ways --------------------------------------------------------------------------

    def follow_labels(self) -> list[StreamCommand]:
        """After labels have changed hands, or stand for another path."""
        if not self._labels.changed:
            return []
        commands: list[StreamCommand] = []
        for at, owner in self._labels.moved:
            if owner is None:
                commands.append(UnbindLabel(at))
            elif owner.stream is not None:
                commands.append(BindLabel(at, owner.stream))
        changed = list(self._labels.changed)
        self._labels.moved.clear()
        self._labels.changed.clear()
        for owner in changed:
            commands += self.follow_path(owner)
        return commands

    def follow_path(self, entry: Entry) -> list[StreamCommand]:
        """After the session has had a turn, in which it may have chosen another path."""
        if entry.stream is None:
            return []
        path = entry.core.media_path
        way = None if path is None else self._labels.way(entry, path)
        if way == entry.way:
            return []
        entry.way = way
        return [SetWay(entry.stream, way)]

    # --- media that came up -----------------------------------------------------------------------

    def hand_back(self, entry: Entry, at: LinkLabel, datagram: bytes) -> list[StreamCommand]:
        """It came before the plane knew whose it is."""
        if entry.stream is None:
            return []
        return [BindLabel(at, entry.stream), ReceiveMedia(at, datagram)]

    def try_out(
        self, entry: Entry, at: LinkLabel, path: Path, datagram: bytes
    ) -> list[StreamCommand]:
        """It came with a label that nothing stands for yet: `MediaSeen` says whether it is the peer's.

        The relay that brings it has the flow now, so it gets the answer, too.
        """
        if entry.stream is None:
            return []
        commands: list[StreamCommand] = []
        tried = entry.tried
        if tried is not None and tried[0] != at and self._labels.receiver(tried[0]) is None:
            commands.append(UnbindLabel(tried[0]))
        if tried != (at, path):
            entry.tried = (at, path)
            commands.append(BindLabel(at, entry.stream))
        takes_way = path == entry.core.media_path
        return [*commands, ReceiveMedia(at, datagram, takes_way)]
