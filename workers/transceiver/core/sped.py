"""A DTLS handshake inside the checks of ICE (draft-hancke-webrtc-sped-00), for one session.

    their check   [hello]      --> Dtls --> flight
    our response  [ack, flight]                     the answer to the hello needs no round trip of its own
    our check     [ack]

Every check and response of ours carries, until the handshake is over and its last flight has arrived,
what came (acknowledgements) and one datagram of our last flight that is not acknowledged, in turn. The
same flight goes out as plain DTLS, too, as soon as there is a path: what is carried only comes sooner.

What comes inside a check has passed MESSAGE-INTEGRITY. It is fed to DTLS once: a client repeats its
flight in every check until it has heard of it, and that is no sign of loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from config.ids import Instant
from workers.transceiver.core.checks import DTLS_ACKS, DTLS_DATA
from workers.transceiver.core.dtls import Dtls, DtlsState
from workers.wire.sped import MAX_ACKS, datagram_id, encode_acks, parse_acks
from workers.wire.types import DropReason, Malformed

MAX_EMBEDDED: Final = 1000
"""Bytes of a DTLS datagram, so that the check around it has at most 1200."""


class Embedded(NamedTuple):
    """What a check brought to DTLS, and what is left to do about it."""

    before: DtlsState
    datagrams: Sequence[bytes] = ()
    """To send as plain DTLS: of a new flight, what no response has carried."""
    messages: Sequence[bytes] = ()
    answered: bool = False
    """The response has carried a datagram of the new flight."""
    dropped: DropReason | None = None


class Sped:
    """Puts flights of a `Dtls` into checks, and takes the peer's out of them."""

    def __init__(self, dtls: Dtls) -> None:
        self._dtls: Final = dtls
        self._came: list[int] = []
        self._turn = 0
        self._brought: Embedded | None = None

    @property
    def brought(self) -> bool:
        """There is something to `take`."""
        return self._brought is not None

    @property
    def is_over(self) -> bool:
        """Nothing is carried any more, but to a peer that still does so."""
        return self._dtls.settled

    @staticmethod
    def is_in(attributes: Mapping[str, Any]) -> bool:
        """A message with these carries something."""
        return DTLS_DATA in attributes or DTLS_ACKS in attributes

    def knows(self, datagram: bytes) -> bool:
        """It came before, in a check or not: coming again, it is no sign that our flight was lost."""
        return datagram_id(datagram) in self._came

    def note(self, datagram: bytes) -> None:
        """This came as plain DTLS: acknowledge it, too."""
        self._remember(datagram_id(datagram))

    def receive(self, attributes: Mapping[str, Any], now: Instant) -> None:
        """Take what an authenticated message carries; see `take` for what came of it."""
        before = self._dtls.state
        data, acks = attributes.get(DTLS_DATA), attributes.get(DTLS_ACKS)
        try:
            if acks:
                self._dtls.acknowledge(parse_acks(acks))
            if not data or before is not DtlsState.HANDSHAKE or datagram_id(data) in self._came:
                return
            result = self._dtls.handle(data, now)
        except Malformed as error:
            self._brought = Embedded(before, dropped=error.reason)
            return
        self._remember(datagram_id(data))
        self._brought = Embedded(before, result.datagrams, result.messages)

    def take(self) -> Embedded | None:
        """What the last message brought, once."""
        brought, self._brought = self._brought, None
        return brought

    def attributes(self, asked: Mapping[str, Any] | None = None) -> dict[str, bytes]:
        """What a check of ours is to carry, or the response to one that had the attributes `asked`.

        When all is done, a peer that still carries something learns what we have, and nobody else.
        """
        acks = {DTLS_ACKS: encode_acks(self._came)}
        if self.is_over:
            return acks if asked is not None and self.is_in(asked) else {}
        flight = [one for one in self._dtls.flight if len(one) <= MAX_EMBEDDED]
        if not flight:
            return acks
        self._turn += 1
        return {DTLS_DATA: flight[(self._turn - 1) % len(flight)], **acks}

    def sent(self, carried: Mapping[str, bytes]) -> None:
        """These went out: of a flight that has just been made, the rest is left to send."""
        if self._brought is not None and DTLS_DATA in carried:
            rest = [one for one in self._brought.datagrams if one is not carried[DTLS_DATA]]
            self._brought = self._brought._replace(
                datagrams=rest, answered=len(rest) < len(self._brought.datagrams)
            )

    def _remember(self, name: int) -> None:
        if name not in self._came:
            self._came = [*self._came[1 - MAX_ACKS :], name]
