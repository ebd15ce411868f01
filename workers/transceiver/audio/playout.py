"""What is said to a caller: audio that comes faster than real time goes out a frame at a time.

    add, add, add ...          handle_timeout every 20 ms
        |                          |
        v                          v
    items waiting  --frames-->  Frame(payload, timestamp, marker)   and what became of each item

Frames stand on a grid of 20 ms that begins with the first one and never drifts: the n-th slot is due
n * 20 ms after it, however late the timer is. A slot in which nothing waits stays empty; the next frame
after it has the timestamp of its slot and the marker (RFC 3550, 5.1; RFC 7587, 4.2), so the receiver hears
a pause of the right length. After a pause longer than `REST` the grid begins anew with the next frame, so
that a first word never waits for a slot.

What was *played* is what has left. `flush` and `pause` take effect before the next slot.

*Live* audio is said now or never. After a stall it comes all at once, and would be late by that much for
ever: what has waited for a whole second without having been needed is left out, the oldest first. So a
delay that is there for a reason, since frames come unevenly, stays.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple, TypeAlias

from config.ids import Instant

FRAME: Final = 0.02
"""Seconds."""
MAX_LATE: Final = 5
"""Frames that may leave at once when the timer was late; beyond that, time was lost for everybody."""
REST: Final = 0.2
"""Seconds of nothing after which the next frame need not wait for a slot."""
PROGRESS_EVERY: Final = 25
"""Frames between two reports of how far an item is: each costs a turn, here and at the back end."""
MAX_ITEMS: Final = 256
LIVE_MOST: Final = 25
"""Frames of live audio that may wait; then the oldest are left out at once."""
LIVE_WINDOW: Final = 2 * PROGRESS_EVERY
"""Frames after which it is looked how many of them always waited,"""
LIVE_SPARE: Final = 1
"""and so many may."""
_TIMESTAMPS: Final = 1 << 32


class Progress(Enum):
    """What became of an item."""

    STARTED = "started"
    PROGRESS = "progress"
    DRAINED = "drained"
    CLEARED = "cleared"


class Frame(NamedTuple):
    """Send this now."""

    payload: bytes
    timestamp: int
    """In the clock of the format."""
    marker: bool
    until: Instant
    """When the next slot is due."""


class Played(NamedTuple):
    """How far an item is."""

    item: str
    progress: Progress
    milliseconds: int
    """That have left."""


PlayoutOutput: TypeAlias = Frame | Played


@dataclass(slots=True)
class _Item:
    name: str
    frames: deque[bytes] = field(default_factory=deque)
    rest: bytes = b""
    """PCM that does not fill a frame yet."""
    complete: bool = False
    played: int = 0
    """Frames."""
    live: bool = False
    least: int = LIVE_MOST
    """Frames that waited behind each that left since it was last looked."""


class Playout:
    """The queue of one session. Sans-IO."""

    def __init__(self, *, clock_rate: int, frame_bytes: int, buffer: float, timestamp: int) -> None:
        """`frame_bytes`: of 20 ms of PCM, which may come in pieces of any length; 0: every payload is
        a frame. `buffer`: seconds that may wait. `timestamp`: of the first frame.
        """
        self.refused = 0
        """Payloads for which there was no room."""
        self.starved = 0
        """Slots that stayed empty within an item that was not complete."""
        self.skipped = 0
        """Frames of live audio that were left out, since they were late for good."""
        self._frame_bytes = frame_bytes
        self._limit = round(buffer / FRAME)
        self._step = round(clock_rate * FRAME)
        self._items: deque[_Item] = deque()
        self._waiting = 0
        self._paused = False
        self._origin: Instant | None = None
        """When slot 0 was due; None: the next frame makes the grid."""
        self._slot = 0
        """The next one."""
        self._base = timestamp
        """RTP timestamp of slot 0."""
        self._busy_until: Instant = 0.0
        self._gap = True
        self._began_at: Instant = 0.0

    @property
    def waiting(self) -> float:
        """Seconds of audio that wait."""
        return self._waiting * FRAME

    # --- what the back end says -------------------------------------------------------------------

    def add(
        self, item: str, payload: bytes, now: Instant, *, last: bool = False, live: bool = False
    ) -> bool:
        """Play this after what waits; False, and counted, if there is no room.

        Payloads of an item follow each other; another item's ends it.
        """
        frames = -(-len(payload) // self._frame_bytes) if self._frame_bytes else bool(payload)
        if self._waiting + frames > self._limit or len(self._items) >= MAX_ITEMS:
            self.refused += 1
            return False
        if not self._items or self._items[-1].name != item or self._items[-1].complete:
            if self._items:
                self._complete(self._items[-1])
            self._items.append(_Item(item))
        current = self._items[-1]
        if self._frame_bytes:
            self._cut(current, payload)
        elif payload:
            current.frames.append(payload)
            self._waiting += 1
        current.live = live
        if live:
            self._skip(current, len(current.frames) - LIVE_MOST)
        if last:
            self._complete(current)
        if self._origin is None:
            self._began_at = now
        return True

    def add_next(
        self, item: str, payload: bytes, now: Instant, *, last: bool = False, live: bool = False
    ) -> bool:
        """As `add`, if this is simply one frame more of the item that waits last and is being played."""
        items = self._items
        if not items or self._waiting >= self._limit or self._frame_bytes or last or not payload:
            return False
        current = items[-1]
        if current.name != item or current.complete or self._paused or self._origin is None:
            return False
        if live is not current.live or (live and len(current.frames) >= LIVE_MOST):
            return False
        current.frames.append(payload)
        self._waiting += 1
        return True

    def flush(self, item: str) -> list[PlayoutOutput]:
        """Forget what waits of that item, or of all (empty). Says of each how much was played."""
        gone = [it for it in self._items if item in ("", it.name)]
        self._items = deque(it for it in self._items if it not in gone)
        self._waiting = sum(len(it.frames) for it in self._items)
        return [Played(it.name, Progress.CLEARED, _milliseconds(it)) for it in gone]

    def pause(self) -> None:
        """Play nothing until `resume`."""
        self._paused = True

    def resume(self, now: Instant) -> None:
        """Go on where it stopped."""
        self._paused = False
        if self._origin is None:
            self._began_at = now

    def hold(self, now: Instant) -> None:
        """Something else takes the slots until now; what waits, waits."""
        if self._origin is not None and (behind := self._slots_until(now) - self._slot) > 0:
            self._leave_out(behind)

    # --- time -------------------------------------------------------------------------------------

    def next_timeout(self) -> Instant | None:
        """When the next frame is due; None if none waits."""
        if self._paused or not self._items:
            return None
        if self._origin is None:
            return self._began_at
        return self._origin + self._slot * FRAME

    def handle_timeout(self, now: Instant) -> list[PlayoutOutput]:
        """The frames that are due, and what became of their items."""
        outputs: list[PlayoutOutput] = []
        if self._paused:
            self.hold(now)
            return outputs
        if self._origin is None or now - self._busy_until > REST:
            self._begin_grid(now)
        last = self._slots_until(now)
        if last - self._slot > MAX_LATE:
            self._leave_out(last - self._slot - MAX_LATE)
        while self._items and self._slot <= last:
            self._play_slot(outputs)
        return outputs

    def take_next(self, now: Instant) -> Frame | None:
        """As `handle_timeout`, if that gives a frame and nothing else."""
        if self._paused or not self._items or self._origin is None:
            return None
        item, slot = self._items[0], self._slot
        if (
            not item.frames
            or item.complete
            or item.played == 0
            or item.played % PROGRESS_EVERY == PROGRESS_EVERY - 1
            or now - self._busy_until > REST
            or self._slots_until(now) != slot
        ):
            return None
        return self._take(item, self._origin)

    def _take(self, item: _Item, origin: Instant) -> Frame:
        """The slot has that item's next frame."""
        timestamp = (self._base + self._slot * self._step) % _TIMESTAMPS
        self._slot += 1
        self._waiting -= 1
        self._busy_until = until = origin + self._slot * FRAME
        item.played += 1
        marker, self._gap = self._gap, False
        frame = Frame(item.frames.popleft(), timestamp, marker, until)
        if len(item.frames) < item.least:
            item.least = len(item.frames)
        return frame

    def _play_slot(self, outputs: list[PlayoutOutput]) -> None:
        """Fill one slot; items that have nothing to say are passed on the way."""
        while self._items:
            item = self._items[0]
            if not item.frames:
                if item.complete:
                    self._items.popleft()
                    outputs.append(Played(item.name, Progress.DRAINED, _milliseconds(item)))
                    continue
                self.starved += 1
                self._leave_out(1)
                return
            if item.played == 0:
                outputs.append(Played(item.name, Progress.STARTED, 0))
            outputs.append(self._take(item, self._origin or 0.0))
            if not item.frames and item.complete:
                self._items.popleft()
                outputs.append(Played(item.name, Progress.DRAINED, _milliseconds(item)))
            elif item.played % PROGRESS_EVERY == 0:
                outputs.append(Played(item.name, Progress.PROGRESS, _milliseconds(item)))
                if item.played % LIVE_WINDOW == 0:
                    if item.live:
                        self._skip(item, item.least - LIVE_SPARE)
                    item.least = LIVE_MOST
            return

    # --- the grid ---------------------------------------------------------------------------------

    def _begin_grid(self, now: Instant) -> None:
        """Slot 0 is now. Its timestamp is later than the last by the time that has passed."""
        if self._origin is not None:
            passed = round((now - self._origin) / FRAME)
            self._base = (self._base + max(passed, self._slot) * self._step) % _TIMESTAMPS
            self._gap = True
        self._origin, self._slot = now, 0
        self._busy_until = now

    def _slots_until(self, now: Instant) -> int:
        """The number of the last slot that is due."""
        # A hair early is in time: sums of 0.02 are not exact.
        return int((now - (self._origin or 0.0)) / FRAME + 1e-6)

    def _leave_out(self, slots: int) -> None:
        self._slot += slots
        self._gap = True

    # --- items ------------------------------------------------------------------------------------

    def _cut(self, item: _Item, pcm: bytes) -> None:
        data = item.rest + pcm
        whole = len(data) - len(data) % self._frame_bytes
        item.frames.extend(
            data[at : at + self._frame_bytes] for at in range(0, whole, self._frame_bytes)
        )
        self._waiting += whole // self._frame_bytes
        item.rest = data[whole:]

    def _skip(self, item: _Item, count: int) -> None:
        """Leave out so many of its oldest frames."""
        for _ in range(count):
            item.frames.popleft()
            self._waiting -= 1
            self.skipped += 1

    def _complete(self, item: _Item) -> None:
        """No more will come: what does not fill a frame is filled with silence."""
        if item.rest:
            item.frames.append(item.rest.ljust(self._frame_bytes, b"\0"))
            self._waiting += 1
            item.rest = b""
        item.complete = True


def _milliseconds(item: _Item) -> int:
    return round(item.played * FRAME * 1000)
