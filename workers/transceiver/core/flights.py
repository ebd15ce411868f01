"""Flights of DTLS on their way: by which path they went, and whether all of the last one could."""

from __future__ import annotations

from collections.abc import Sequence

from workers.transceiver.core.interface import SendDatagram, SessionOutput
from workers.transceiver.core.paths import PathState


class Flights:
    """An unproven path carries only so much: what it would not is held until it is proven."""

    def __init__(self) -> None:
        self.path: PathState | None = None
        """Where the last one went."""
        self.held = False
        """Not all of it: send it again when the path is proven."""

    def send(self, datagrams: Sequence[bytes], path: PathState | None) -> list[SessionOutput]:
        """As many datagrams as the path permits; without a path, none."""
        outputs: list[SessionOutput] = []
        if path is None or not datagrams:
            return outputs
        self.path, self.held = path, False
        for datagram in datagrams:
            if path.permits(len(datagram)):
                path.bytes_sent += len(datagram)
                outputs.append(SendDatagram(path.path, datagram))
            else:
                self.held = True
        return outputs
