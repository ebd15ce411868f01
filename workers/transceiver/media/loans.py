"""What of a talking session a media plane may do by itself, packet by packet, until something else comes.

Of a thousand packets of a client 999 are simply the next one, and become an item of the batch for a back
end. Of a thousand items of a back end 999 simply go on with what is being played, and become frames that
wait for their slots. A plane that can do both does so on *loan*: an ear or a playout says how things stand
and lends them. At the first thing that is not so simple it ends the loan, knows exactly what has been done
meanwhile, and goes on itself.

Who lends and who borrows are in one thread, so a loan ends at once. Without loans everything works the
same, and costs more.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from config.ids import Instant
from workers.transceiver.core.streams.interface import Stream

MAX_NAME: Final = 63
"""Bytes of the name of a session, and of that of an item; what has a longer one is not lent."""
WINDOW: Final = 64
"""Frames that may wait in the plane: what leaves until it is looked again, and that we are late then."""


class Line:
    """To an end point of a back end, from its hello to its death."""

    def __init__(self) -> None:
        self.credit = 0
        """Audio items that it may still be sent."""

    def take_batch(self) -> tuple[bytes, int]:
        """The items that have been made for it meanwhile, encoded, and how many; none: b""."""
        return b"", 0

    def take_without_credit(self) -> int:
        """Items that were not made since there was no credit, since the last call."""
        return 0

    def hear(self, batch: bytes, now: Instant) -> tuple[int, int]:
        """A batch that came from it: how many of its first items are done with, and how many it has.

        (0, 0): it is not made of audio alone, or is none.
        """
        return 0, 0

    def close(self) -> None:
        """Nothing goes there, and nothing that comes from there is heeded, any more."""


class EarTerms(NamedTuple):
    """How things stand with the packets of a client."""

    session: str
    payload_type: int
    ssrc: int
    sequence: int
    """Of the next packet."""
    timestamp: int
    """The highest so far, unwrapped."""
    offset: int
    """What is added to it to have media time in the clock."""
    clock: int
    """Per second."""


class EarEnd(NamedTuple):
    """How they stand now."""

    taken: int
    """Packets."""
    timestamp: int
    at: int
    """Of the last packet, in ms; of no meaning if none was taken."""


class EarLoan(Protocol):
    """Packets of a client that become items."""

    def end(self) -> EarEnd:
        """From now on they come up again, and those do that are waiting to come up."""


class VoiceTerms(NamedTuple):
    """How things stand with what is being played."""

    session: str
    item: str
    live: bool
    is_open: bool
    """More of the item may come, and is to be played after what waits."""
    origin: Instant
    """When slot 0 was due."""
    slot: int
    """The next."""
    timestamp: int
    """Of slot 0."""
    step: int
    """From one slot's timestamp to the next one's."""
    payload_type: int
    gap: bool
    """The next frame has the marker."""
    most: int
    """Frames that may wait in the plane."""


class VoiceEnd(NamedTuple):
    """How they stand now."""

    left: int
    """Frames that have left."""
    slot: int
    """Of the next frame."""
    gap: bool
    frames: list[bytes]
    """They have not left, and will not."""


class VoiceState(NamedTuple):
    """How far it is."""

    left: int
    """Frames that have left since they were lent."""
    waiting: int
    least: int | None
    """Frames that waited behind each that has left since the last call; None if none has."""


class VoiceLoan(Protocol):
    """An item that is being played."""

    def say(self, frame: bytes, now: Instant) -> bool:
        """Play one frame after what waits; False if that is not so simple."""

    def state(self) -> VoiceState:
        """How far it is."""

    def end(self) -> VoiceEnd:
        """Nothing leaves any more."""


class Loans(Protocol):
    """What a plane takes on loan. One loan of either kind for each stream at a time."""

    done: int
    """Packets and items that were nobody else's to do, so far."""

    def open_line(self) -> Line:
        """For an end point that has said hello."""

    def lend_ear(self, stream: Stream, line: Line, terms: EarTerms) -> EarLoan | None:
        """None: it cannot be."""

    def lend_voice(self, stream: Stream, line: Line, terms: VoiceTerms) -> VoiceLoan | None:
        """None: it cannot be."""
