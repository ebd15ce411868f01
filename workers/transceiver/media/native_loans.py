"""Loans to the media plane in C (workers/native/media_talk.c)."""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec

from config.ids import Instant
from workers.transceiver.core.srtp import MAX_PACKET
from workers.transceiver.core.streams.interface import Stream
from workers.transceiver.media.loans import (
    MAX_NAME,
    WINDOW,
    EarEnd,
    EarTerms,
    Line,
    VoiceEnd,
    VoiceState,
    VoiceTerms,
)

_HEAD: Final = 5
"""Bytes of a batch before its first item."""
_NONE_LEFT: Final = 0xFFFFFFFF
_encode: Final = msgspec.msgpack.encode


class NativeLine(Line):
    """The C code counts its credit down and makes its batch."""

    def __init__(self, loans: NativeLoans) -> None:
        self._loans = loans
        self.memory = loans.ffi.new("mp_line *")
        self._told = 0

    @property
    def credit(self) -> int:
        """Audio items that it may still be sent."""
        return cast(int, self.memory.credit)

    @credit.setter
    def credit(self, items: int) -> None:
        self.memory.credit = items

    def take_batch(self) -> tuple[bytes, int]:
        """The items that have been made for it meanwhile, encoded, and how many."""
        memory = self.memory
        count = memory.items
        if not count:
            return b"", 0
        batch = self._loans.ffi.buffer(memory.batch, memory.bytes)[:]
        memory.items, memory.bytes = 0, _HEAD
        return batch, count

    def take_without_credit(self) -> int:
        """Items that were not made since there was no credit, since the last call."""
        told, self._told = self._told, self.memory.without_credit
        return self._told - told

    def hear(self, batch: bytes, now: Instant) -> tuple[int, int]:
        """A batch that came from it: how many of its first items are done with, and how many it has."""
        return self._loans.hear(self.memory, batch, now)

    def close(self) -> None:
        """Nothing goes there, and nothing that comes from there is heeded, any more."""
        self.memory.closed = 1


class NativeLoans:
    """Of one plane."""

    def __init__(self, ffi: Any, lib: Any, plane: Any) -> None:
        self.ffi = ffi
        self.done = 0
        """Packets and items that were done with by the plane, so far."""
        self.was_busy = False
        """Something was put where the plane's thread may have to be awakened for it."""
        self._lib = lib
        self._plane = plane
        self._items = ffi.new("uint32_t *")
        self._waiting = ffi.new("uint32_t *")
        self._least = ffi.new("uint32_t *")
        self._ear = ffi.new("mp_ear *")
        self._voice = ffi.new("mp_voice *")
        self._end = ffi.new("mp_voice_end *")
        self._block = ffi.new("uint8_t[]", lib.PLAY_WINDOW * MAX_PACKET)
        self._lines: list[Any] = []
        """Memory of lines that are open, or named by something that is lent."""

    def open_line(self) -> Line:
        """For an end point that has said hello."""
        self._lines = [memory for memory in self._lines if memory.users or not memory.closed]
        line = NativeLine(self)
        self._lines.append(line.memory)
        return line

    def hear(self, line: Any, batch: bytes, now: Instant) -> tuple[int, int]:
        """See `Line.hear`."""
        self.was_busy = True
        items = self._items
        done = self._lib.mp_hear(self._plane, line, batch, len(batch), now, items)
        self.done += done
        return done, items[0]

    def lend_ear(self, stream: Stream, line: Line, terms: EarTerms) -> NativeEarLoan | None:
        """None: it cannot be."""
        session = terms.session.encode()
        if not isinstance(line, NativeLine) or len(session) > MAX_NAME:
            return None
        prefix = b"".join(
            [b"\x84", *map(_encode, ("type", "audio_in", "session", terms.session, "at"))]
        )
        ear = self._ear
        ear.taken = ear.at = 0
        ear.timestamp, ear.offset, ear.clock = terms.timestamp, terms.offset, terms.clock
        ear.ssrc, ear.next, ear.type = terms.ssrc, terms.sequence, terms.payload_type
        ear.prefix_length = len(prefix)
        self.ffi.buffer(ear.prefix)[: len(prefix)] = prefix
        self._lib.mp_lend_ear(self._plane, stream, line.memory, ear)
        return NativeEarLoan(self, stream)

    def end_ear(self, stream: Stream) -> EarEnd:
        """See `EarLoan.end`."""
        ear = self._ear
        if not self._lib.mp_end_ear(self._plane, stream, ear):
            return EarEnd(0, 0, 0)
        return EarEnd(ear.taken, ear.timestamp, ear.at)

    def lend_voice(self, stream: Stream, line: Line, terms: VoiceTerms) -> NativeVoiceLoan | None:
        """None: it cannot be."""
        session, item = terms.session.encode(), terms.item.encode()
        longest = max(len(session), len(item))
        if not isinstance(line, NativeLine) or longest > MAX_NAME:
            return None
        voice = self._voice
        voice.origin, voice.slot, voice.gap = terms.origin, terms.slot, terms.gap
        voice.timestamp, voice.step = terms.timestamp, terms.step
        voice.most, voice.type = min(terms.most, WINDOW), terms.payload_type
        voice.live, voice.open = terms.live, terms.is_open
        voice.session_length, voice.item_length = len(session), len(item)
        self.ffi.buffer(voice.session)[: len(session)] = session
        self.ffi.buffer(voice.item)[: len(item)] = item
        if not self._lib.mp_lend_voice(self._plane, stream, line.memory, voice):
            return None
        return NativeVoiceLoan(self, stream)

    def say(self, stream: Stream, frame: bytes, now: Instant) -> bool:
        """See `VoiceLoan.say`."""
        self.was_busy = True
        return bool(self._lib.mp_say(self._plane, stream, frame, len(frame), now))

    def state(self, stream: Stream) -> VoiceState:
        """See `VoiceLoan.state`."""
        left = self._lib.mp_left(self._plane, stream, self._waiting, self._least)
        least = self._least[0]
        return VoiceState(left, self._waiting[0], None if least == _NONE_LEFT else least)

    def end_voice(self, stream: Stream) -> VoiceEnd:
        """See `VoiceLoan.end`."""
        end = self._end
        if not self._lib.mp_end_voice(self._plane, stream, end, self._block):
            return VoiceEnd(0, 0, True, [])
        block = self.ffi.buffer(self._block)
        frames: list[bytes] = []
        at = 0
        for number in range(end.count):
            octets = end.octets[number]
            frames.append(block[at : at + octets])
            at += octets
        return VoiceEnd(end.left, end.slot, bool(end.gap), frames)

    def forget(self, stream: Stream) -> None:
        """The stream is closed, whatever of it is lent."""
        self._lib.mp_end_talk(self._plane, stream)


class NativeEarLoan:
    """Packets of one stream."""

    def __init__(self, loans: NativeLoans, stream: Stream) -> None:
        self._loans = loans
        self._stream = stream

    def end(self) -> EarEnd:
        """From now on they come up again."""
        return self._loans.end_ear(self._stream)


class NativeVoiceLoan:
    """What one stream plays."""

    def __init__(self, loans: NativeLoans, stream: Stream) -> None:
        self._loans = loans
        self._stream = stream

    def say(self, frame: bytes, now: Instant) -> bool:
        """Play one frame after what waits."""
        return self._loans.say(self._stream, frame, now)

    def state(self) -> VoiceState:
        """How far it is."""
        return self._loans.state(self._stream)

    def end(self) -> VoiceEnd:
        """Nothing leaves any more."""
        return self._loans.end_voice(self._stream)
