"""What a client datagram asks of the relay, read from its bytes alone."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from config.ids import Route
from workers.wire.demux import Kind, kind_of
from workers.wire.stun import StunClass, parse_stun
from workers.wire.types import DropReason, Malformed
from workers.wire.ufrag import UfragKeys


class Check(NamedTuple):
    """A Binding request that names its session's owner."""

    route: Route
    ufrag: str


class Answer(NamedTuple):
    """A response or an indication: it belongs to whatever its source already talks to."""

    stun_class: StunClass


class Media(NamedTuple):
    """DTLS, SRTP or SRTCP: only ever of use on a flow that is known."""

    kind: Kind


Meaning: TypeAlias = Check | Answer | Media


def classify(datagram: bytes, keys: UfragKeys) -> Meaning:
    """What a datagram is about.

    Raises Malformed with why it is of no use: MALFORMED_STUN, UNSUPPORTED, NO_USERNAME, UNKNOWN_KEY,
    FORGED_UFRAG or UNKNOWN_KIND.
    """
    kind = kind_of(datagram)
    if kind is Kind.STUN:
        stun_class, ours, _ = parse_stun(datagram)
        if stun_class is not StunClass.REQUEST:
            return Answer(stun_class)
        if not ours:
            raise Malformed(DropReason.NO_USERNAME)
        return Check(keys.decode(ours), ours)
    if kind is Kind.UNKNOWN:
        raise Malformed(DropReason.UNKNOWN_KIND)
    return Media(kind)
