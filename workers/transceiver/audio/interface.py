"""What the cores of audio give and take: packets on one side, what to play on the other."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias


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
