"""What the bridge hears and what it wants done."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, TypeAlias

# --- in -------------------------------------------------------------------------------------------


class Opened(NamedTuple):
    """The server listens."""


class Heard(NamedTuple):
    """What the caller said: PCM, 24 kHz, 16 bits, mono."""

    pcm: bytes


class FromClient(NamedTuple):
    """A message of the client's data channel."""

    text: bytes


class FromServer(NamedTuple):
    """A message of the server's."""

    text: str


class Became(Enum):
    """What became of an utterance."""

    STARTED = "started"
    PROGRESS = "progress"
    DRAINED = "drained"
    CLEARED = "cleared"


class Played(NamedTuple):
    """How far an utterance was played."""

    name: str
    became: Became
    milliseconds: int


Input: TypeAlias = Opened | Heard | FromClient | FromServer | Played

# --- out ------------------------------------------------------------------------------------------


class ToServer(NamedTuple):
    """Send this event to the server."""

    text: str


class ToClient(NamedTuple):
    """Send this event on the client's data channel."""

    text: str


class Say(NamedTuple):
    """Play this after what waits."""

    name: str
    pcm: bytes
    last: bool


class Hush(NamedTuple):
    """Stop playing, forget what waits, and say how much was played."""


Output: TypeAlias = ToServer | ToClient | Say | Hush
