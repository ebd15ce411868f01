"""What a call says, and what of it comes back: frame by frame in Python, or by a probe of the trunk's."""

from __future__ import annotations

import math
from typing import Final, Protocol

from config.ids import Instant
from workers.caller.echoes import Echoes, Figures
from workers.caller.histogram import Histogram
from workers.caller.source import FRAME_SECONDS, SilentOpus, Source
from workers.caller.trunk import Circuit
from workers.transceiver.core.interface import AudioReceived, Codec, SendAudio

_WRAP: Final = 1 << 32


class Voice(Protocol):
    """Says so many frames, one every 20 ms, from `begin` on."""

    @property
    def figures(self) -> Figures:
        """What has come back."""

    @property
    def round_trips(self) -> Histogram:
        """Of what has come back."""

    @property
    def over(self) -> bool:
        """All is said."""

    @property
    def due(self) -> Instant:
        """When to look again, with a `frame`, whether it is."""

    def begin(self, now: Instant) -> None:
        """Speak from now on."""

    def frame(self, now: Instant) -> SendAudio | None:
        """Once every 20 ms until it is over: what the call is to send, if anything."""

    def came(self, audio: AudioReceived, now: Instant) -> None:
        """A packet arrived."""

    def stop(self) -> None:
        """Say no more."""


class Speaker:
    """A source, said frame by frame; or silence of that length."""

    def __init__(
        self, source: Source | None, codec: Codec | None, *, frames: int, first_timestamp: int
    ) -> None:
        self._source = source
        self._codec = codec
        self._frames = frames
        self._first_timestamp = first_timestamp
        self._said = 0
        """Frames' times that have passed."""
        self.echoes = Echoes()

    @property
    def figures(self) -> Echoes:
        """What has come back."""
        return self.echoes

    @property
    def round_trips(self) -> Histogram:
        """Of what has come back."""
        return self.echoes.round_trips

    @property
    def over(self) -> bool:
        """All is said."""
        return self._said >= self._frames

    @property
    def due(self) -> Instant:
        """At every tick."""
        return -math.inf

    def begin(self, now: Instant) -> None:
        """The first frame goes with the next tick."""

    def frame(self, now: Instant) -> SendAudio | None:
        """The next one."""
        index = self._said
        self._said += 1
        if self._source is None or self._codec is None:
            return None
        self.echoes.went(index, now)
        return SendAudio(
            self._source.frame(index),
            (self._first_timestamp + index * self._source.step) % _WRAP,
            self._codec.payload_type,
            marker=index == 0,
        )

    def came(self, audio: AudioReceived, now: Instant) -> None:
        """A packet arrived."""
        if self._source is None:
            return
        elapsed = (audio.timestamp - self._first_timestamp) % _WRAP
        index = self._source.index_of(audio.payload, elapsed)
        self.echoes.came(index, elapsed / self._source.step * FRAME_SECONDS, now)

    def stop(self) -> None:
        """Say no more."""
        self._frames = min(self._frames, self._said)


class Probe:
    """Silence that a circuit says and hears by itself."""

    def __init__(
        self,
        circuit: Circuit,
        source: SilentOpus,
        codec: Codec,
        *,
        frames: int,
        first_timestamp: int,
    ) -> None:
        self._circuit = circuit
        self._source = source
        self._codec = codec
        self._frames = frames
        self._first_timestamp = first_timestamp
        self._due: Instant = -math.inf

    @property
    def figures(self) -> Figures:
        """What has come back."""
        return self._circuit.figures

    @property
    def round_trips(self) -> Histogram:
        """Of what has come back."""
        return self._circuit.round_trips

    @property
    def over(self) -> bool:
        """All is said."""
        return self.figures.sent >= self._frames

    @property
    def due(self) -> Instant:
        """When all should be said."""
        return self._due

    def begin(self, now: Instant) -> None:
        """The circuit chooses the moment of the first frame."""
        self._due = now + self._frames * FRAME_SECONDS
        self._circuit.probe(
            self._source, self._codec, frames=self._frames, first_timestamp=self._first_timestamp
        )

    def frame(self, now: Instant) -> None:
        """It is not the call that sends them."""

    def came(self, audio: AudioReceived, now: Instant) -> None:
        """Nor who hears them."""

    def stop(self) -> None:
        """Say no more."""
        self._circuit.hush()
        self._frames, self._due = 0, -math.inf
