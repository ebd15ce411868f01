"""Keys of a telephone, heard and pressed, in the audio's own stream (RFC 4733).

A press is some packets with one timestamp, that of its beginning, whose duration grows; the last says that
the key is up, and comes three times, for it may be lost. All three may be: then the next press, or silence,
ends this one. A press longer than a duration can say goes on in segments, each beginning where the one
before it ended (2.5.1.3).
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from config.ids import Instant
from workers.transceiver.audio.interface import Dtmf
from workers.wire.telephone_event import (
    DIGITS,
    MAX_DURATION,
    TelephoneEvent,
    encode_telephone_event,
    parse_telephone_event,
)
from workers.wire.types import Malformed

SILENCE: Final = 0.2
"""Seconds without a packet after which a key is taken to be up. Senders repeat each 20 to 50 ms."""
LONGEST: Final = 60.0
"""Seconds; a key that is held longer is reported once in so long."""
VOLUME: Final = 10
"""dBm0 below zero, what browsers send."""
ENDS: Final = 3
"""How often the end of a press is sent."""
MAX_WAITING: Final = 64
"""Digits that may wait to be pressed."""

_TIMESTAMPS: Final = 1 << 32
_HALF: Final = 1 << 31


class KeysHeard:
    """Makes presses of packets; never more than one for each timestamp, whatever comes."""

    def __init__(self, clock_rate: int) -> None:
        self.malformed = 0
        self._clock_rate = clock_rate
        self._ssrc = -1
        self._event = -1
        """Of the key that is down; -1 for none."""
        self._began = 0
        """Timestamp of its first segment."""
        self._segment = 0
        """Timestamp of its last one."""
        self._length = 0
        """RTP clock, all segments."""
        self._heard_at: Instant = 0.0
        self._done: int | None = None
        """Timestamp of the last segment that is over; nothing as old counts any more."""

    def handle(self, payload: bytes, timestamp: int, ssrc: int, now: Instant) -> list[Dtmf]:
        """Take one packet; the presses that it ends."""
        try:
            event = parse_telephone_event(payload)
        except Malformed:
            self.malformed += 1
            return []
        if event.event >= len(DIGITS):
            return []  # a flash, a tone of a modem: none of a caller's keys
        ended = self.handle_timeout(now)
        if ssrc != self._ssrc:
            ended += self._end()
            self._ssrc, self._done = ssrc, None
        if self._done is not None and _since(self._done, timestamp) <= 0:
            return ended
        if self._event < 0 or not self._belongs(event, timestamp):
            if self._event >= 0 and _since(self._segment, timestamp) < 0:
                return ended  # overtaken by the press after it
            ended += self._end()
            self._event, self._began, self._length = event.event, timestamp, 0
        self._segment = timestamp
        self._length = max(self._length, _since(self._began, timestamp) + event.duration)
        self._heard_at = now
        if event.end or self._length >= LONGEST * self._clock_rate:
            ended += self._end()
        return ended

    def next_timeout(self) -> Instant | None:
        """When a key that nobody speaks of any more is taken to be up."""
        return self._heard_at + SILENCE if self._event >= 0 else None

    def handle_timeout(self, now: Instant) -> list[Dtmf]:
        """The press that silence has ended."""
        due = self.next_timeout()
        return self._end() if due is not None and due <= now else []

    def _belongs(self, event: TelephoneEvent, timestamp: int) -> bool:
        """The same press: the same segment, or one that begins where it can have ended."""
        if event.event != self._event:
            return False
        step = _since(self._segment, timestamp)
        return step == 0 or (step == MAX_DURATION and self._length >= MAX_DURATION // 2)

    def _end(self) -> list[Dtmf]:
        if self._event < 0:
            return []
        press = Dtmf(DIGITS[self._event], self._length / self._clock_rate)
        self._event, self._done = -1, self._segment
        return [press]


def _since(earlier: int, later: int) -> int:
    return (later - earlier + _HALF) % _TIMESTAMPS - _HALF


class KeyPacket(NamedTuple):
    """What to send, instead of audio."""

    payload: bytes
    timestamp: int
    marker: bool


class KeysPressed:
    """Makes packets of presses, one each step of the sender's clock, in the audio's timestamps."""

    def __init__(self, clock_rate: int, step: int) -> None:
        """`step`: RTP clock between two packets."""
        self._clock_rate = clock_rate
        self._step = step
        self._waiting: deque[tuple[int, int, int]] = deque()
        """Event, duration and the pause behind it, in steps."""
        self._began = 0
        self._steps = 0
        """Since the key went down."""

    @property
    def busy(self) -> bool:
        """A key is down or about to be: there is no room for audio."""
        return bool(self._waiting)

    def press(self, digit: str, duration: float = 0.1, pause: float = 0.06) -> bool:
        """Press one of DIGITS for so many seconds, then be silent; False if too many wait.

        Raises ValueError on what is no digit.
        """
        if len(digit) != 1 or digit.upper() not in DIGITS:
            raise ValueError(f"{digit[:20]!r} is no key; there are {DIGITS}")
        event = DIGITS.index(digit.upper())
        if len(self._waiting) >= MAX_WAITING:
            return False
        longest = MAX_DURATION // self._step
        down = min(max(self._in_steps(duration), 2), longest)
        self._waiting.append((event, down, max(self._in_steps(pause), ENDS)))
        return True

    def step(self, timestamp: int) -> KeyPacket | None:
        """What to send now, at the audio's timestamp; None between presses."""
        if not self._waiting:
            return None
        event, down, pause = self._waiting[0]
        first = self._steps == 0
        if first:
            self._began = timestamp
        self._steps += 1
        after = self._steps - down
        if after >= pause:
            self._waiting.popleft()
            self._steps = 0
        if after >= ENDS:
            return None
        duration = min(self._steps, down) * self._step
        report = TelephoneEvent(event, after >= 0, VOLUME, duration)
        return KeyPacket(encode_telephone_event(report), self._began, first)

    def _in_steps(self, seconds: float) -> int:
        return round(seconds * self._clock_rate / self._step)
