"""From an offer to all that a session is born with: its route, its secrets and its answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from config.ids import Endpoint, Instant, Route, SessionId
from ipc.messages.sessions import Problem
from workers.transceiver.core.answer import dtls_role, encode_answer
from workers.transceiver.core.codecs import VOICES
from workers.transceiver.core.entry import Entry
from workers.transceiver.core.interface import (
    Create,
    Fingerprint,
    IceCredentials,
    IceRole,
    Refused,
    SessionParameters,
)
from workers.transceiver.core.negotiation import NothingInCommon, negotiate
from workers.transceiver.core.sctp.snap import make_init
from workers.transceiver.core.sdp import SdpError, parse_description
from workers.transceiver.core.states import SessionState
from workers.wire.ufrag import NONCE_LENGTH, UfragKeys

PASSWORD_BYTES: Final = 16
"""128 random bits (RFC 8445, 5.3), as 32 hexadecimal ICE characters."""


UNCLAIMED: Final = 3.0
"""Seconds that a session keeps its place before its first check, where all places are taken: so
clients that ask for answers and never come cannot keep out those that do."""


class Settings(msgspec.Struct, frozen=True):
    """What all sessions of a transceiver share."""

    route: Route
    keys: UfragKeys
    fingerprint: Fingerprint
    """Of our DTLS certificate."""
    advertise: tuple[Endpoint, ...]
    """Relay addresses for answers, the preferred one first; at least one."""
    backends: frozenset[str]
    max_sessions: int
    max_busy: float = 1.0
    """Share of the thread that media may take."""
    advertise_tcp: tuple[Endpoint, ...] = ()
    """The same for ICE-TCP."""
    codecs: tuple[str, ...] = VOICES
    """That answers may accept."""
    connect_timeout: float = 30.0
    consent_timeout: float = 30.0
    max_duration: float = 0.0
    idle_timeout: float = 0.0

    def tcp_beside(self, advertise: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
        """Addresses of ICE-TCP for an answer with these of UDP, which may be those of other sites.

        A site is as this one is: where ours has TCP on the addresses of UDP, so has that one.
        """
        return advertise if self.advertise_tcp == self.advertise else self.advertise_tcp


class Admitted(msgspec.Struct, frozen=True):
    """A session that may be made."""

    session: SessionId
    parameters: SessionParameters
    answer: str


def admit(event: Create, settings: Settings, entropy: Callable[[int], bytes]) -> Admitted | Refused:
    """Judge back end and offer. The refusal names what was wrong, for the person who reads it."""
    if event.backend not in settings.backends:
        there_are = ", ".join(sorted(settings.backends)) or "none"
        detail = f"no back end {event.backend[:40]!r}; there are: {there_are}"
        return Refused(event.ticket, Problem.UNKNOWN_BACKEND, detail)
    try:
        agreement = negotiate(parse_description(event.offer), settings.codecs)
    except SdpError as error:
        return Refused(event.ticket, Problem.MALFORMED_SDP, str(error))
    except NothingInCommon as error:
        return Refused(event.ticket, Problem.NOTHING_IN_COMMON, str(error))

    local = mint_credentials(settings, entropy)
    advertise = event.advertise or settings.advertise
    data = agreement.data
    if data is not None and data.their_init:
        data = msgspec.structs.replace(data, our_init=make_init(entropy))
    ssrc = int.from_bytes(entropy(4), "big")
    answer = encode_answer(
        agreement,
        local=local,
        fingerprint=settings.fingerprint,
        advertise=advertise,
        advertise_tcp=settings.tcp_beside(advertise),
        origin=int.from_bytes(entropy(8), "big") >> 1,
        sctp_init=data.our_init if data is not None else b"",
        ssrc=ssrc,
    )
    parameters = SessionParameters(
        ice_role=IceRole.CONTROLLED,
        dtls_role=dtls_role(agreement),
        local=local,
        remote=agreement.peer.credentials,
        remote_fingerprints=agreement.peer.fingerprints,
        audio=agreement.audio,
        data=data,
        connect_timeout=settings.connect_timeout,
        consent_timeout=settings.consent_timeout,
        max_duration=_either(event.max_duration, settings.max_duration),
        idle_timeout=_either(event.idle_timeout, settings.idle_timeout),
        sped=bool(agreement.peer.sped),
        ssrc=ssrc,
        advertise=advertise,
    )
    session = SessionId(f"rtc_{settings.route.cluster}_{_mint(settings, entropy)}")
    return Admitted(session, parameters, answer)


def _either(asked: float | None, usual: float) -> float:
    return usual if asked is None else asked


def mint_credentials(settings: Settings, entropy: Callable[[int], bytes]) -> IceCredentials:
    """New ones of ours; the ufrag is the route to this transceiver."""
    return IceCredentials(_mint(settings, entropy), entropy(PASSWORD_BYTES).hex())


def _mint(settings: Settings, entropy: Callable[[int], bytes]) -> str:
    return settings.keys.mint(settings.route, entropy(NONCE_LENGTH))


def expected(entries: Iterable[Entry], now: Instant) -> int:
    """Of sessions, those that talk or may yet: not those for which nobody came in time."""
    return sum(
        entry.state is not SessionState.WAITING or now - entry.created_at < UNCLAIMED
        for entry in entries
    )


def unclaimed_of(entries: Iterable[Entry], now: Instant) -> Entry | None:
    """Of sessions, oldest first, the one to make room: nobody came for it, and time enough has passed."""
    for entry in entries:
        if now - entry.created_at < UNCLAIMED:
            return None
        if entry.state is SessionState.WAITING:
            return entry
    return None
