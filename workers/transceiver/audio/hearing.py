"""What a peer says, as PCM by the consumer's clock: jitter buffer, decoders, keys, and mended sound.

Packets go in as they come (`handle`); a step of sound comes out whenever it is asked for (`take`), always
of the same length. What is heard is late by what the network needs (`delay`), no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, assert_never

from config.ids import Instant
from workers.transceiver.audio.formats import EVENTS, make_decoder
from workers.transceiver.audio.interface import Decoder, Dtmf, Idle, Lost, Play
from workers.transceiver.audio.jitter import STEP, JitterBuffer
from workers.transceiver.audio.keypad import KeysHeard
from workers.transceiver.audio.library import LibraryMissing
from workers.transceiver.audio.waveform import Elastic
from workers.transceiver.core.streams.interface import AudioReceived, Codec
from workers.wire.types import Malformed


class Heard(NamedTuple):
    """One step of sound."""

    pcm: bytes
    concealed: bool
    """Some of it is a guess in place of what was lost."""
    silent: bool
    """Some of it is silence, because the peer sends nothing."""


class HearingStats(NamedTuple):
    """Totals, and how things are now."""

    packets: int = 0
    late: int = 0
    duplicate: int = 0
    lost: int = 0
    malformed: int = 0
    """Payloads that were not of the codec they said; treated as lost."""
    overflowed: int = 0
    concealed: float = 0.0
    """Seconds."""
    delay: float = 0.0
    """Seconds that the last packet was played behind the quickest."""
    target: float = 0.0
    """Seconds of delay that are wanted."""
    jitter: float = 0.0
    """Seconds (RFC 3550, 6.4.1)."""


class Hearing:
    """One session's. Its consumer asks each STEP of its own clock."""

    def __init__(self, codecs: Sequence[Codec], rate: int) -> None:
        """`codecs`: what was negotiated. Raises LibraryMissing if the first of them cannot be decoded."""
        self._rate = rate
        self._step = 2 * int(rate * STEP)
        self._codecs = {codec.payload_type: codec for codec in codecs if codec.name != EVENTS}
        self._keys = {
            codec.payload_type: KeysHeard(codec.clock_rate)
            for codec in codecs
            if codec.name == EVENTS
        }
        first = next(iter(self._codecs.values()))
        self._decoders: dict[int, Decoder] = {first.payload_type: make_decoder(first, rate)}
        self._unheard: set[int] = set()
        """Payload types that this machine cannot decode."""
        self._clock = first.clock_rate
        self._buffer = JitterBuffer(self._clock)
        self._before = HearingStats()
        """Totals of buffers in other clocks before this one."""
        self._malformed = 0
        self._decoder = self._decoders[first.payload_type]
        """Of what was played last."""
        self._elastic: Final = Elastic(rate)
        self._sound = bytearray()
        """Decoded and not yet taken."""

    @property
    def stats(self) -> HearingStats:
        """As it stands now."""
        buffer, before = self._buffer, self._before
        return HearingStats(
            before.packets + buffer.received,
            before.late + buffer.late,
            before.duplicate + buffer.duplicate,
            before.lost + buffer.lost,
            self._malformed + sum(keys.malformed for keys in self._keys.values()),
            before.overflowed + buffer.overflowed,
            before.concealed + buffer.concealed / self._clock,
            buffer.delay,
            buffer.target,
            buffer.jitter,
        )

    def handle(self, packet: AudioReceived, now: Instant) -> list[Dtmf]:
        """Take one packet, at the time it came; the presses of keys that it ends."""
        keys = self._keys.get(packet.payload_type)
        if keys is not None:
            self._buffer.skip(packet.sequence, packet.ssrc)
            return keys.handle(packet.payload, packet.timestamp, packet.ssrc, now)
        codec = self._codecs.get(packet.payload_type)
        if codec is None or (decoder := self._decoder_of(codec)) is None:
            return []
        try:
            duration = decoder.duration(packet.payload)
        except Malformed:
            self._malformed += 1
            return []
        if codec.clock_rate != self._clock:
            self._before = self.stats
            self._clock = codec.clock_rate
            self._buffer = JitterBuffer(self._clock)
        self._buffer.put(
            packet.payload, packet.payload_type, packet.sequence, packet.timestamp, packet.ssrc,
            duration, now,
        )  # fmt: skip
        return []

    def next_timeout(self) -> Instant | None:
        """When a key that nobody speaks of any more is taken to be up."""
        return min(
            (due for keys in self._keys.values() if (due := keys.next_timeout()) is not None),
            default=None,
        )

    def handle_timeout(self, now: Instant) -> list[Dtmf]:
        """The presses that silence has ended."""
        return [press for keys in self._keys.values() for press in keys.handle_timeout(now)]

    def take(self, now: Instant) -> Heard:
        """The next STEP of sound, to be played from `now` on."""
        sound, concealed, silent = self._sound, False, False
        while len(sound) < self._step:
            ahead = len(sound) // 2 * self._clock // self._rate
            item = self._buffer.take(now, ahead)
            match item:
                case Play():
                    sound += self._play(item)
                case Lost(duration, following):
                    concealed = True
                    sound += self._decoder.conceal(duration, following)
                case Idle():
                    silent = True
                    sound += bytes(self._step - len(sound))
                case _:
                    assert_never(item)
        pcm = bytes(sound[: self._step])
        del sound[: self._step]
        return Heard(pcm, concealed, silent)

    def leave_out(self, now: Instant) -> None:
        """Its consumer was held up and leaves steps out: the next one begins now."""
        self._buffer.leave_out(now)

    def _play(self, item: Play) -> bytes:
        self._decoder = self._decoders[item.payload_type]
        pcm = self._decoder.decode(item.payload)
        if not pcm:
            self._malformed += 1
            return self._decoder.conceal(item.duration, None)
        return self._elastic.adjust(pcm, longer=item.adjust > 0) if item.adjust else pcm

    def _decoder_of(self, codec: Codec) -> Decoder | None:
        decoder = self._decoders.get(codec.payload_type)
        if decoder is None and codec.payload_type not in self._unheard:
            try:
                decoder = make_decoder(codec, self._rate)
            except LibraryMissing:
                self._unheard.add(codec.payload_type)
                return None
            self._decoders[codec.payload_type] = decoder
        return decoder
