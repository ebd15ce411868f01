"""What the cores of audio give and take: packets on one side, what to play on the other."""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeAlias


class Play(NamedTuple):
    """Decode this packet."""

    payload: bytes
    payload_type: int
    duration: int
    """RTP clock."""
    adjust: int
    """RTP clock: play it longer (positive) or shorter by up to that much, to come nearer the delay
    that is wanted."""


class Lost(NamedTuple):
    """Nothing came in time: conceal."""

    duration: int
    """RTP clock."""
    following: bytes | None
    """The packet right behind the gap, which may repeat what was lost (in-band FEC)."""


class Idle(NamedTuple):
    """The peer sends nothing (DTX, muted, gone, not yet begun): play silence."""


Item: TypeAlias = Play | Lost | Idle


class Dtmf(NamedTuple):
    """A key was pressed and is up again."""

    digit: str
    """One of `0123456789*#ABCD`."""
    duration: float
    """Seconds."""


class Decoder(Protocol):
    """Payloads of one stream to PCM: 16-bit samples, mono, native byte order, at one rate."""

    def duration(self, payload: bytes) -> int:
        """How long a payload plays, in the RTP clock. Raises Malformed."""

    def decode(self, payload: bytes) -> bytes:
        """PCM of a payload; empty if there is none in it (a hostile one)."""

    def conceal(self, duration: int, following: bytes | None) -> bytes:
        """PCM in place of so much (RTP clock) that is missing, going by what was before it and, if it
        is here, the payload right behind it.
        """


class Encoder(Protocol):
    """PCM of one stream to payloads."""

    def encode(self, pcm: bytes) -> bytes:
        """The payload of 10, 20, 40 or 60 ms; empty if nothing need be sent (DTX)."""

    def expect_loss(self, share: float) -> None:
        """Prepare for that share of packets to be lost, 0 to 1: what the peer's reports say."""
