"""Where an association stands, and the chunk that brings it further, sent until it is answered.

INIT, COOKIE ECHO, SHUTDOWN and SHUTDOWN ACK: one of them at a time, with one timer (T1 and T2 of
RFC 9260).
"""

from __future__ import annotations

from typing import Final

from config.ids import Instant
from workers.transceiver.core.sctp.handshake import MAX_ATTEMPTS
from workers.transceiver.core.sctp.rto import Retry
from workers.transceiver.core.sctp.states import OPENING, TRANSITIONS, AssociationState
from workers.wire.sctp import encode_chunk
from workers.wire.sctp_chunks import CookieEcho, Shutdown, ShutdownAck

_S: Final = AssociationState


class Life:
    """The state, and what is under way to change it. `control` takes the chunks that are to leave."""

    def __init__(self, control: list[bytes]) -> None:
        self.state = _S.CLOSED
        self._control: Final = control
        self._retry: Final = Retry()
        self._chunk = b""
        self._attempts = 0

    @property
    def opening(self) -> bool:
        """The handshake is not over."""
        return self.state in OPENING

    @property
    def at(self) -> Instant | None:
        """When the chunk is to be sent again."""
        return self._retry.at

    def greet(self, init: bytes, now: Instant, interval: float) -> None:
        """Send our INIT, if nothing has begun."""
        if self.state is _S.CLOSED:
            self.enter(_S.COOKIE_WAIT)
            self._repeat(init, now, interval)

    def echo(self, cookie: bytes, now: Instant, interval: float) -> None:
        """Their INIT ACK came: send its cookie back."""
        self.enter(_S.COOKIE_ECHOED)
        self._repeat(encode_chunk(CookieEcho(cookie)), now, interval)

    def establish(self) -> None:
        """The handshake is over."""
        self._retry.stop()
        self.enter(_S.ESTABLISHED)

    def peer_shuts_down(self, now: Instant, interval: float) -> None:
        """Their SHUTDOWN came."""
        if self.state in (_S.ESTABLISHED, _S.SHUTDOWN_PENDING):
            self.enter(_S.SHUTDOWN_RECEIVED)
        elif self.state is _S.SHUTDOWN_SENT:
            self._acknowledge(now, interval)

    def drained(self, cumulative: int, now: Instant, interval: float) -> None:
        """All that was sent has arrived: a shutdown goes on."""
        if self.state is _S.SHUTDOWN_PENDING:
            self.enter(_S.SHUTDOWN_SENT)
            self._repeat(encode_chunk(Shutdown(cumulative)), now, interval)
        elif self.state is _S.SHUTDOWN_RECEIVED:
            self._acknowledge(now, interval)

    def again(self, now: Instant) -> bool:
        """Send the chunk once more if its time has come; False if that was often enough."""
        if not self._retry.due(now):
            return True
        self._attempts += 1
        if self._attempts > MAX_ATTEMPTS:
            return False
        self._retry.again(now)
        self._control.append(self._chunk)
        return True

    def enter(self, state: AssociationState) -> None:
        """Go there; a way that the table does not have is a bug of ours."""
        if state not in TRANSITIONS[self.state]:
            raise AssertionError(f"{self.state} -> {state}")
        self.state = state

    def _acknowledge(self, now: Instant, interval: float) -> None:
        self.enter(_S.SHUTDOWN_ACK_SENT)
        self._repeat(encode_chunk(ShutdownAck()), now, interval)

    def _repeat(self, chunk: bytes, now: Instant, interval: float) -> None:
        self._chunk, self._attempts = chunk, 0
        self._retry.start(now, interval)
        self._control.append(chunk)
