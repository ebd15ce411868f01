"""PCM as packets to a peer: encoder, timestamps, markers, and keys pressed in between.

It is told what to say one step of the clock after the other, silence included, so that its timestamps
follow the clock and no more: what is not sent (silence, DTX) leaves a gap in them, and the first packet
behind the gap has the marker (RFC 3551, 4.1), from which a receiver may choose its delay anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from workers.transceiver.audio.formats import EVENTS, make_encoder
from workers.transceiver.audio.jitter import STEP
from workers.transceiver.audio.keypad import KeysPressed
from workers.transceiver.audio.opus import COMPLEXITY
from workers.transceiver.core.streams.interface import Codec, SendAudio

PACKET_TIMES: Final = (10, 20, 40, 60)
"""Milliseconds that a packet may play."""


class Speaking:
    """One session's. It owns the timestamps, as the session owns sequence and SSRC."""

    def __init__(
        self,
        codecs: Sequence[Codec],
        rate: int,
        entropy: Callable[[int], bytes],
        *,
        packet_time: int = 20,
        complexity: int = COMPLEXITY,
    ) -> None:
        """The first of the codecs is spoken; `packet_time` is one of PACKET_TIMES.

        Raises LibraryMissing if that cannot be encoded here.
        """
        codec = next(codec for codec in codecs if codec.name != EVENTS)
        if packet_time not in PACKET_TIMES:
            raise ValueError(f"no packet plays {packet_time} ms")
        self._encoder = make_encoder(codec, rate, complexity)
        self._payload_type = codec.payload_type
        self._timestamp = int.from_bytes(entropy(4), "big")
        self._step = int(STEP * codec.clock_rate)
        self._size = 2 * rate * packet_time // 1000
        self._length = codec.clock_rate * packet_time // 1000
        """Of a packet, in the RTP clock."""
        self._sound = bytearray()
        """Said, and not yet a whole packet; `_timestamp` is that of its beginning."""
        self._paused = True
        self._keys_type, clock = _keys_of(codecs, codec.clock_rate)
        # Durations are in the event format's clock, which some offer only at 8 kHz beside Opus.
        self._keys = KeysPressed(clock, int(STEP * clock))

    def step(self, pcm: bytes) -> list[SendAudio]:
        """Say one STEP of sound; empty says nothing. What is to be sent now."""
        if self._keys.busy:
            return [*self._flush(), *self._press()]
        if not pcm:
            return self.skip(1)
        self._sound += pcm
        sent = []
        while len(self._sound) >= self._size:
            sent += self._encode(bytes(self._sound[: self._size]))
            del self._sound[: self._size]
        return sent

    def skip(self, steps: int) -> list[SendAudio]:
        """Say nothing for so many steps."""
        sent = self._flush()
        self._pass(steps * self._step)
        return sent

    @property
    def pressing(self) -> bool:
        """A key is down or about to be; audio waits."""
        return self._keys.busy

    def press(self, digit: str, duration: float = 0.1) -> bool:
        """Press a key, as soon as those before it are up; audio waits. False if that cannot be: too
        many wait, or the peer knows no keys. Raises ValueError on what is no key.
        """
        return self._keys_type >= 0 and self._keys.press(digit, duration)

    def expect_loss(self, share: float) -> None:
        """What share of packets the peer reports as lost, 0 to 1 (RTCP)."""
        self._encoder.expect_loss(share)

    def _flush(self) -> list[SendAudio]:
        """The begun packet, filled up with silence."""
        if not self._sound:
            return []
        pcm = bytes(self._sound).ljust(self._size, b"\0")
        self._sound.clear()
        return self._encode(pcm)

    def _encode(self, pcm: bytes) -> list[SendAudio]:
        payload = self._encoder.encode(pcm)
        timestamp, marker = self._timestamp, self._paused
        self._timestamp = timestamp + self._length & 0xFFFFFFFF
        self._paused = not payload
        return [SendAudio(payload, timestamp, self._payload_type, marker)] if payload else []

    def _press(self) -> list[SendAudio]:
        packet = self._keys.step(self._timestamp)
        self._pass(self._step)
        if packet is None:
            return []
        return [SendAudio(packet.payload, packet.timestamp, self._keys_type, packet.marker)]

    def _pass(self, duration: int) -> None:
        self._timestamp = self._timestamp + duration & 0xFFFFFFFF
        self._paused = True


def _keys_of(codecs: Sequence[Codec], clock_rate: int) -> tuple[int, int]:
    """(payload type, clock) of the events to send: in the audio's clock if there are; -1 if none."""
    events = [codec for codec in codecs if codec.name == EVENTS]
    for codec in sorted(events, key=lambda codec: codec.clock_rate != clock_rate):
        return codec.payload_type, codec.clock_rate
    return -1, clock_rate
