"""How much may be on its way (RFC 9260, 7.2): slow start, avoidance, recovery; one path.

The first window is ten packets, as RFC 6928 has it for TCP, not about four: a first answer of some
kilobytes then needs no second round trip.
"""

from __future__ import annotations

from typing import Final

from workers.transceiver.core.sctp.interface import IN_FLIGHT

INITIAL_PACKETS: Final = 10
MIN_PACKETS: Final = 4


class Congestion:
    """The congestion window, in bytes."""

    __slots__ = ("_mtu", "_partial", "_recover_to", "ssthresh", "window")

    def __init__(self, mtu: int) -> None:
        self._mtu = mtu
        self.window = INITIAL_PACKETS * mtu
        self.ssthresh = 1 << 30
        self._partial = 0
        self._recover_to: int | None = None

    @property
    def recovering(self) -> bool:
        """In fast recovery: the window stays as it is."""
        return self._recover_to is not None

    def acknowledged(self, size: int, flight: int, cumulative: int) -> None:
        """The cumulative TSN advanced; `flight` bytes were on their way before."""
        if self._recover_to is not None:
            if cumulative < self._recover_to:
                return
            self._recover_to = None
        # A window that was not used says nothing about what the network can take.
        full = flight + self._mtu > self.window
        if self.window <= self.ssthresh:
            if full:
                self.window = min(self.window + min(size, self._mtu), IN_FLIGHT)
            return
        self._partial += size
        if self._partial >= self.window and full:
            self._partial -= self.window
            self.window = min(self.window + self._mtu, IN_FLIGHT)
        self._partial = min(self._partial, self.window)

    def lost(self, highest: int) -> None:
        """Acknowledgements miss a chunk; `highest` is the last TSN that was sent."""
        if self._recover_to is None:
            self.ssthresh = max(self.window // 2, MIN_PACKETS * self._mtu)
            self.window = self.ssthresh
            self._partial = 0
            self._recover_to = highest

    def expired(self) -> None:
        """The retransmission timer did."""
        self.ssthresh = max(self.window // 2, MIN_PACKETS * self._mtu)
        self.window = self._mtu
        self._partial = 0
        self._recover_to = None

    def idle(self) -> None:
        """Nothing was sent for a time-out (7.2.1)."""
        self.window = max(self.window // 2, min(self.window, MIN_PACKETS * self._mtu))
