"""A playout whose frames a media plane may play by itself (media/loans.py), one item at a time.

The first frame of an item is always played by us. While an item is lent we only look now and then how far
it is: to tell it, to hand over more of what waits here, and to see that it is over. Whatever else is asked
for ends the loan first, and we go on from where the plane was.

    ours --lend--> the plane's, we look every PROGRESS_EVERY frames --anything--> ours
"""

from __future__ import annotations

import math
from typing import Final

from config.ids import Instant
from workers.transceiver.audio.playout import (
    FRAME,
    LIVE_MOST,
    LIVE_SPARE,
    LIVE_WINDOW,
    PROGRESS_EVERY,
    REST,
    Frame,
    Played,
    Playout,
    PlayoutOutput,
    Progress,
)
from workers.transceiver.core.streams.interface import Stream
from workers.transceiver.media.loans import WINDOW, Line, Loans, VoiceLoan, VoiceState, VoiceTerms

_LATE: Final = 0.005
"""Seconds after which a slot without a frame is over (workers/native/media_talk.c): two turns, and what
gathers on the link. A frame that waited for all of these must not cost the rest of the talk a slot."""
_AFTER: Final = 0.001
"""Seconds after a frame was due at which it has left."""
GRID: Final = 0.01
"""Seconds: looks of all sessions are due at multiples of it, so that those which merely report how far an
item is share a turn. That an item is over is told without waiting for one."""
_TIMESTAMPS: Final = 1 << 32


class LendablePlayout(Playout):
    """As `Playout`, whose every promise it keeps."""

    def __init__(self, *, clock_rate: int, frame_bytes: int, buffer: float, timestamp: int) -> None:
        super().__init__(
            clock_rate=clock_rate, frame_bytes=frame_bytes, buffer=buffer, timestamp=timestamp
        )
        self.lent_until = -1
        """Timestamp before which everything that was lent has left; -1: nothing was."""
        self._loan: VoiceLoan | None = None
        self._is_open = False
        """Frames that come go to the plane; else they are kept here, behind those that are lent."""
        self._lent = 0
        """Frames of the item that had left when it was lent."""
        self._look_at: Instant = math.inf

    @property
    def waiting(self) -> float:
        """Seconds of audio that wait."""
        lent = 0 if self._loan is None else self._state(self._loan).waiting
        return (self._waiting + lent) * FRAME

    # --- lend, and take back ------------------------------------------------------------------------

    def lend(
        self,
        loans: Loans,
        stream: Stream,
        line: Line,
        session: str,
        payload_type: int,
        shift: int,
        now: Instant,
    ) -> None:
        """Let the plane go on with the item that is being played, if there is one.

        `shift`: what is added to our timestamps.
        """
        items = self._items
        if self._loan or self._paused or self._origin is None or not items or self._frame_bytes:
            return
        item = items[0]
        is_due = self._origin + self._slot * FRAME <= now
        if not item.played or now - self._busy_until > REST or (item.frames and is_due):
            return
        self._is_open = not item.complete and len(items) == 1 and len(item.frames) < WINDOW
        if not self._is_open and not item.frames:
            return
        terms = VoiceTerms(
            session,
            item.name,
            item.live,
            self._is_open,
            self._origin,
            self._slot,
            (self._base + shift) % _TIMESTAMPS,
            self._step,
            payload_type,
            self._gap,
            min(WINDOW, self._limit),
        )
        self._loan = loan = loans.lend_voice(stream, line, terms)
        if loan is not None:
            self._lent = item.played
            self._hand_over(loan, now)
            self._look_at = self._next_look(len(item.frames), now)

    def end_loan(self, now: Instant | None = None) -> None:
        """Nothing leaves but by us from now on. Without `now` nothing is to be played before more comes."""
        loan, self._loan = self._loan, None
        if loan is None:
            return
        end, item = loan.end(), self._items[0]
        item.played = self._lent + end.left
        item.frames.extendleft(reversed(end.frames))
        self._waiting += len(end.frames)
        self._slot, self._gap = end.slot, end.gap
        if end.left:
            self._busy_until = (self._origin or 0.0) + end.slot * FRAME
            self.lent_until = (self._base + (end.slot - 1) * self._step) % _TIMESTAMPS
        if now is not None and not item.frames:
            missed = self._slots_until(now - _LATE) + 1 - self._slot
            if missed > 0:
                self.starved += missed
                self._leave_out(missed)

    def _hand_over(self, loan: VoiceLoan, now: Instant) -> None:
        frames = self._items[0].frames
        while frames and loan.say(frames[0], now):
            frames.popleft()
            self._waiting -= 1

    def _next_look(self, waiting: int, now: Instant) -> Instant:
        """When there is something to be told."""
        item = self._items[0]
        until = PROGRESS_EVERY - item.played % PROGRESS_EVERY
        if item.complete and waiting <= until:
            return now + max(waiting, 1) * FRAME + _AFTER
        return math.ceil((now + until * FRAME + _AFTER) / GRID) * GRID

    # --- as before, but for the loan ----------------------------------------------------------------

    def add(
        self, item: str, payload: bytes, now: Instant, *, last: bool = False, live: bool = False
    ) -> bool:
        """Play this after what waits; False, and counted, if there is no room."""
        if self._loan is not None and payload and not live and self._is_full(self._loan):
            self.refused += 1
            return False
        self.end_loan(now)
        return super().add(item, payload, now, last=last, live=live)

    def add_next(
        self, item: str, payload: bytes, now: Instant, *, last: bool = False, live: bool = False
    ) -> bool:
        """As `add`, if this is simply one frame more of the item that waits last and is being played."""
        loan, items = self._loan, self._items
        if loan is None:
            return super().add_next(item, payload, now, last=last, live=live)
        current = items[-1]
        if current.name != item or current.complete or last or not payload:
            return False
        if self._is_open:
            if live is not current.live or (live and self._state(loan).waiting >= LIVE_MOST):
                return False
            return loan.say(payload, now)
        if live or current.live or self._waiting + WINDOW >= self._limit:
            return False
        current.frames.append(payload)
        self._waiting += 1
        return True

    def flush(self, item: str) -> list[PlayoutOutput]:
        """Forget what waits of that item, or of all (empty). Says of each how much was played."""
        self.end_loan()
        return super().flush(item)

    def pause(self) -> None:
        """Play nothing until `resume`."""
        self.end_loan()
        super().pause()

    def hold(self, now: Instant) -> None:
        """Something else takes the slots until now; what waits, waits."""
        self.end_loan(now)
        super().hold(now)

    def next_timeout(self) -> Instant | None:
        """When the next frame is due, or what is lent is to be looked at; None if none waits."""
        return super().next_timeout() if self._loan is None else self._look_at

    def take_next(self, now: Instant) -> Frame | None:
        """As `handle_timeout`, if that gives a frame and nothing else."""
        return super().take_next(now) if self._loan is None else None

    def handle_timeout(self, now: Instant) -> list[PlayoutOutput]:
        """The frames that are due, and what became of their items."""
        if self._loan is None:
            return super().handle_timeout(now)
        return self._look(self._loan, now) if now >= self._look_at else []

    def _is_full(self, loan: VoiceLoan) -> bool:
        """So that a flood does not end it again and again."""
        return self._waiting + self._state(loan).waiting >= self._limit

    def _state(self, loan: VoiceLoan) -> VoiceState:
        state, item = loan.state(), self._items[0]
        if state.least is not None:
            item.least = min(item.least, state.least)
        return state

    def _look(self, loan: VoiceLoan, now: Instant) -> list[PlayoutOutput]:
        item, state = self._items[0], self._state(loan)
        before, item.played = item.played, self._lent + state.left
        outputs: list[PlayoutOutput] = []
        if item.complete and not item.frames and not state.waiting:
            self.end_loan(now)
            self._items.popleft()
            return [Played(item.name, Progress.DRAINED, round(item.played * FRAME * 1000))]
        if item.played // PROGRESS_EVERY > before // PROGRESS_EVERY:
            milliseconds = round(item.played * FRAME * 1000)
            outputs.append(Played(item.name, Progress.PROGRESS, milliseconds))
        if item.played // LIVE_WINDOW > before // LIVE_WINDOW:
            late, item.least = item.least - LIVE_SPARE, LIVE_MOST
            if item.live and late > 0:
                self.end_loan(now)
                self._skip(item, min(late, len(item.frames)))
                return outputs
        if item.frames:
            self._hand_over(loan, now)
            # Either all of it is with the plane, which may be lent what follows, or nothing can be.
            if (not item.frames and not item.complete) or (item.frames and not state.waiting):
                self.end_loan(now)
                return outputs
        self._look_at = self._next_look(state.waiting + len(item.frames), now)
        return outputs
