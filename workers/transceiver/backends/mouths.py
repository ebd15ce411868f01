"""What a back end says, as frames for the plane: its packets as they are, or its PCM encoded; and keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from config.ids import Instant
from workers.transceiver.audio.formats import EVENTS
from workers.transceiver.audio.jitter import STEP
from workers.transceiver.audio.keypad import KeysPressed
from workers.transceiver.audio.playout import Frame
from workers.transceiver.audio.speaking import Speaking
from workers.transceiver.core.streams.interface import AudioParameters, Codec, SendAudio

_TIMESTAMPS: Final = 1 << 32


class Mouth(Protocol):
    """Sans-IO. While keys are pressed `next_timeout` is set, and audio has to wait."""

    def speak(self, frame: Frame) -> list[SendAudio]:
        """One frame of the playout."""

    def press(self, digit: str, duration: float, now: Instant) -> bool:
        """Press a key for so many seconds; False if that cannot be."""

    def expect_loss(self, share: float) -> None:
        """What share of packets the client reports as lost, 0 to 1."""

    def next_timeout(self) -> Instant | None:
        """When a pressed key has its next packet; None while none is pressed."""

    def handle_timeout(self, now: Instant) -> list[SendAudio]:
        """The key's packets that are due."""


class _Grid:
    """Steps of STEP from a moment on."""

    def __init__(self) -> None:
        self._due: Instant | None = None

    def begin(self, now: Instant) -> None:
        if self._due is None:
            self._due = now

    def end(self) -> None:
        self._due = None

    @property
    def due(self) -> Instant | None:
        return self._due

    def take(self, now: Instant) -> bool:
        """True if a step is due; then the next one is STEP later."""
        if self._due is None or now < self._due - 1e-6:
            return False
        self._due += STEP
        return True


class PacketMouth:
    """Payloads pass through. Keys are pressed at the timestamps of the slots that they take."""

    def __init__(self, audio: AudioParameters, codec: Codec, timestamp: int) -> None:
        self._payload_type = codec.payload_type
        self._step = round(codec.clock_rate * STEP)
        events = [each for each in audio.codecs if each.name == EVENTS]
        events.sort(key=lambda each: each.clock_rate != codec.clock_rate)
        self._keys_type = events[0].payload_type if events else -1
        clock = events[0].clock_rate if events else codec.clock_rate
        self._keys = KeysPressed(clock, int(STEP * clock))
        self._timestamp = timestamp
        """Of the last packet, or of the next key."""
        self._shift = 0
        """By how much we are ahead of the playout's timestamps: keys may be pressed before it begins."""
        self._used = False
        """A packet has left at `_timestamp`."""
        self._grid = _Grid()

    def speak(self, frame: Frame) -> list[SendAudio]:
        """One frame of the playout."""
        ahead = (self._timestamp - frame.timestamp - self._shift) % _TIMESTAMPS
        if self._used and ahead < _TIMESTAMPS // 2:
            self._shift += ahead + self._step
        self._used = True
        self._timestamp = (frame.timestamp + self._shift) % _TIMESTAMPS
        return [SendAudio(frame.payload, self._timestamp, self._payload_type, frame.marker)]

    @property
    def payload_type(self) -> int:
        """Of what is spoken."""
        return self._payload_type

    @property
    def shift(self) -> int:
        """By how much packets leave later than the playout's timestamps."""
        return self._shift

    def follow(self, timestamp: int) -> None:
        """Frames have left without us, the last one with that timestamp of the playout's, or before it."""
        timestamp = (timestamp + self._shift) % _TIMESTAMPS
        if (timestamp - self._timestamp) % _TIMESTAMPS < _TIMESTAMPS // 2:
            self._timestamp, self._used = timestamp, True

    def press(self, digit: str, duration: float, now: Instant) -> bool:
        """Press a key for so many seconds; False if that cannot be."""
        if self._keys_type < 0:
            return False
        try:
            taken = self._keys.press(digit, duration)
        except ValueError:
            return False
        if taken:
            self._grid.begin(now)
        return taken

    def expect_loss(self, share: float) -> None:
        """The back end encodes."""

    def next_timeout(self) -> Instant | None:
        """When a pressed key has its next packet."""
        return self._grid.due

    def handle_timeout(self, now: Instant) -> list[SendAudio]:
        """The key's packets that are due."""
        sent: list[SendAudio] = []
        while self._keys.busy and self._grid.take(now):
            self._timestamp = (self._timestamp + self._step) % _TIMESTAMPS
            self._used = True
            packet = self._keys.step(self._timestamp)
            if packet is not None:
                key = SendAudio(packet.payload, packet.timestamp, self._keys_type, packet.marker)
                sent.append(key)
        if not self._keys.busy:
            self._grid.end()
        return sent


class PcmMouth:
    """Sound is encoded as it is played, prepared for the loss that the client reports."""

    def __init__(
        self,
        audio: AudioParameters,
        rate: int,
        codec: Codec,
        entropy: Callable[[int], bytes],
    ) -> None:
        """Raises LibraryMissing."""
        self._speaking = Speaking(audio.codecs, rate, entropy)
        self._step = round(codec.clock_rate * STEP)
        self._next = -1
        """Timestamp of the playout's slot behind the last one that was spoken."""
        self._grid = _Grid()

    def speak(self, frame: Frame) -> list[SendAudio]:
        """One frame of the playout."""
        sent: list[SendAudio] = []
        if self._next >= 0 and (missed := (frame.timestamp - self._next) % _TIMESTAMPS):
            sent = self._speaking.skip(missed // self._step)
        self._next = (frame.timestamp + self._step) % _TIMESTAMPS
        return sent + self._speaking.step(frame.payload)

    def press(self, digit: str, duration: float, now: Instant) -> bool:
        """Press a key for so many seconds; False if that cannot be."""
        try:
            taken = self._speaking.press(digit, duration)
        except ValueError:
            return False
        if taken:
            self._grid.begin(now)
        return taken

    def expect_loss(self, share: float) -> None:
        """What share of packets the client reports as lost, 0 to 1."""
        self._speaking.expect_loss(share)

    def next_timeout(self) -> Instant | None:
        """When a pressed key has its next packet."""
        return self._grid.due

    def handle_timeout(self, now: Instant) -> list[SendAudio]:
        """The key's packets that are due."""
        sent: list[SendAudio] = []
        while self._speaking.pressing and self._grid.take(now):
            sent += self._speaking.step(b"")
            if self._next >= 0:
                self._next = (self._next + self._step) % _TIMESTAMPS
        if not self._speaking.pressing:
            self._grid.end()
        return sent
