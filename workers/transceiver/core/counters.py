"""What the table of sessions has seen, in plain integers.

Law of conservation: records_in == delivered + controls + sum(dropped).
"""

from __future__ import annotations

from collections import Counter

from ipc.messages.sessions import CloseReason
from workers.transceiver.core.quality import Quality
from workers.transceiver.core.sctp.tally import Tally
from workers.wire.types import DropReason


class Counters:
    """Only ever grow; the shell takes a snapshot a second."""

    def __init__(self) -> None:
        self.created = 0
        self.closed: Counter[CloseReason] = Counter()
        self.records_in = 0
        self.records_out = 0
        self.delivered = 0
        """Records that a session took."""
        self.controls = 0
        """FORGET and UNKNOWN records of relays."""
        self.dropped: Counter[DropReason] = Counter()
        """Records that nobody took, or not to the full."""
        self.refused: Counter[DropReason] = Counter()
        """What led nowhere and was no record: commands, and datagrams without a way to their path."""
        self.frames_out = 0
        """Frames of back ends, given to the media plane."""
        self.quality = Quality()
        """How the audio of all sessions has fared."""
        self.channels = Tally()
        """What the data channels of all sessions have carried."""

    @property
    def conserved(self) -> bool:
        """The law holds."""
        return self.records_in == self.delivered + self.controls + self.dropped.total()
