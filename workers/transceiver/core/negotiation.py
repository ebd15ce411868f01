"""What an offer or an answer means for us: who the peer is, and what both can (RFC 9429).

One transport is served: an audio section, and data channels beside it in the same bundle, or data channels
alone where no audio is offered. Every other section is rejected with port 0.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final

import msgspec

from config.ids import MAX_PORT
from workers.transceiver.core.codecs import (
    VOICES,
    read_codecs,
    read_packet_time,
    read_rtpmaps,
    spell,
)
from workers.transceiver.core.interface import (
    AudioParameters,
    DataParameters,
    Fingerprint,
    IceCredentials,
)
from workers.transceiver.core.sctp.interface import DEFAULT_PEER_MESSAGE, SCTP_PORT
from workers.transceiver.core.sctp.snap import parse_sctp_init
from workers.transceiver.core.sdp import Attribute, Block, Description, SdpError, Section
from workers.wire.sped import ICE_OPTIONS as SPED_OPTIONS
from workers.wire.types import Malformed

PROTOCOLS: Final = frozenset(
    {
        "UDP/TLS/RTP/SAVPF",
        "UDP/TLS/RTP/SAVP",
        "RTP/SAVPF",
        "RTP/SAVP",
        "TCP/DTLS/RTP/SAVPF",
        "TCP/DTLS/RTP/SAVP",
    }
)
"""RFC 9429, 5.1.2: what an offerer may call RTP over DTLS-SRTP; the answer repeats it."""
DATA_PROTOCOLS: Final = frozenset({"UDP/DTLS/SCTP", "TCP/DTLS/SCTP"})
DATA_FORMAT: Final = "webrtc-datachannel"
DIGESTS: Final = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
MAX_FINGERPRINTS: Final = 8
MAX_NAMED: Final = 12

_ICE_CHARS: Final = re.compile(r"[0-9A-Za-z+/]*")
_DIGEST: Final = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})*")
_DIRECTIONS: Final = {
    "sendrecv": (True, True),
    "sendonly": (True, False),
    "recvonly": (False, True),
    "inactive": (False, False),
}
"""Name -> (the describing end sends, it receives)."""
_SETUPS: Final = frozenset({"actpass", "active", "passive", "holdconn"})


class NothingInCommon(Exception):
    """Well-formed, but nothing that both ends can; the text names what was offered."""


class PeerDescription(msgspec.Struct, frozen=True):
    """The transport side of a section (RFC 8839, 5.4; RFC 8842)."""

    credentials: IceCredentials
    fingerprints: tuple[Fingerprint, ...]
    setup: str
    """`actpass`, `active` or `passive`."""
    lite: bool
    sped: tuple[str, ...] = ()
    """The ICE options by which it says that it puts DTLS into checks."""


class Agreement(msgspec.Struct, frozen=True):
    """What an offer and we have in common."""

    offer: Description
    bundled: bool
    peer: PeerDescription
    audio_section: Section | None
    """The one that is accepted; this, or that of data channels, or both."""
    audio: AudioParameters | None
    data_section: Section | None = None
    data: DataParameters | None = None

    @property
    def accepted(self) -> tuple[Section, ...]:
        """All that are, in the offer's order."""
        return tuple(
            section
            for section in self.offer.sections
            if section is self.audio_section or section is self.data_section
        )


def negotiate(offer: Description, codecs: Collection[str] = VOICES) -> Agreement:
    """Find what an offer and we, with these codecs, have in common.

    Raises SdpError or NothingInCommon.
    """
    _distinct_mids(offer)
    audio_section = _audio_section(offer, codecs)
    section = audio_section or data_section(offer.sections)
    if section is None:
        offered = "; ".join(_offered(offer)) or "no media section"
        served = f"one audio section with {spell(codecs)}, data channels ({DATA_FORMAT}), or both"
        raise NothingInCommon(f"offered: {offered}. Served: {served}")
    if section is audio_section and not section.has("rtcp-mux"):
        raise NothingInCommon(f"line {section.line}: the audio section does not offer rtcp-mux")
    group = bundle_group(offer, section)
    siblings = tuple(s for s in offer.sections if s.mid in group)
    peer = read_peer(offer, section, siblings)
    if peer.lite:
        raise NothingInCommon("both ends are ICE lite: nobody would send checks")
    data = data_section(siblings) if section is audio_section else section
    return Agreement(
        offer,
        bool(group),
        peer,
        audio_section,
        None if audio_section is None else _mirrored(offer, audio_section, codecs),
        data,
        None if data is None else read_data(data),
    )


def read_peer(
    description: Description, section: Section, siblings: tuple[Section, ...]
) -> PeerDescription:
    """Credentials, fingerprints and role of the peer. Raises SdpError or NothingInCommon.

    In a bundle the attributes may stand in its tagged section alone (RFC 9143, 7.1.3), and outside
    it at session level: the section's own count first.
    """
    blocks: tuple[Block, ...] = (section, *siblings, description)
    credentials = read_credentials(
        _required(blocks, "ice-ufrag", section), _required(blocks, "ice-pwd", section)
    )
    setup = _nearest(blocks, "setup")
    if setup is not None and setup.value not in _SETUPS:
        raise SdpError(setup.line, f"setup {setup.value[:20]!r} is unknown")
    if setup is not None and setup.value == "holdconn":
        raise NothingInCommon(f"line {setup.line}: setup holdconn asks for no connection")
    return PeerDescription(
        credentials,
        _fingerprints(blocks, section),
        setup.value if setup else "actpass",
        description.has("ice-lite"),
        _sped(blocks),
    )


def _sped(blocks: tuple[Block, ...]) -> tuple[str, ...]:
    attribute = _nearest(blocks, "ice-options")
    options = attribute.value.split() if attribute else ()
    return tuple(option for option in SPED_OPTIONS if option in options)


def read_credentials(ufrag: Attribute, password: Attribute) -> IceCredentials:
    """RFC 8839, 5.4. Raises SdpError."""
    for attribute, least in ((ufrag, 4), (password, 22)):
        if not (least <= len(attribute.value) <= 256 and _ICE_CHARS.fullmatch(attribute.value)):
            raise SdpError(attribute.line, f"{attribute.name} is not {least}-256 ICE characters")
    return IceCredentials(ufrag.value, password.value)


def read_direction(description: Description, section: Section) -> tuple[bool, bool]:
    """(the describing end sends, it receives): the section's word, else the session's."""
    for block in (section, description):
        for attribute in block.attributes:
            if attribute.name in _DIRECTIONS:
                return _DIRECTIONS[attribute.name]
    return True, True


def direction_name(sends: bool, receives: bool) -> str:
    """The attribute for these two."""
    return next(name for name, pair in _DIRECTIONS.items() if pair == (sends, receives))


def bundle_group(description: Description, section: Section) -> tuple[str, ...]:
    """Tags of the BUNDLE group that a section is in (RFC 9143), or none."""
    for attribute in description.all("group"):
        semantics, *tags = attribute.value.split() or [""]
        if semantics == "BUNDLE" and section.mid in tags:
            return tuple(tags)
    return ()


def is_offered(section: Section) -> bool:
    """False if the section is rejected or was stopped; `bundle-only` sections have port 0 too."""
    return section.port != 0 or section.has("bundle-only")


def _distinct_mids(description: Description) -> None:
    seen: set[str] = set()
    for section in description.sections:
        if section.mid and section.mid in seen:
            raise SdpError(section.line, f"mid {section.mid[:20]!r} is used twice")
        seen.add(section.mid)


def _audio_section(offer: Description, codecs: Collection[str]) -> Section | None:
    """The first that we serve. None if none is offered; an offer of audio is not answered without it."""
    for section in offer.sections:
        if (
            section.kind == "audio"
            and is_offered(section)
            and section.protocol in PROTOCOLS
            and read_codecs(section, codecs)
        ):
            return section
    if any(section.kind == "audio" and is_offered(section) for section in offer.sections):
        offered = "; ".join(_offered(offer))
        raise NothingInCommon(f"offered: {offered}. Served: one audio section with {spell(codecs)}")
    return None


def data_section(sections: tuple[Section, ...]) -> Section | None:
    """RFC 8841: the first of them; older forms (`DTLS/SCTP 5000`) are not served."""
    for section in sections:
        if (
            section.kind == "application"
            and is_offered(section)
            and section.protocol in DATA_PROTOCOLS
            and section.formats == (DATA_FORMAT,)
        ):
            return section
    return None


def read_data(section: Section) -> DataParameters:
    """What the describing end says of its SCTP (RFC 8841). Raises SdpError."""
    return DataParameters(
        section.mid,
        _number(section, "sctp-port", SCTP_PORT, 1, MAX_PORT),
        _number(section, "max-message-size", DEFAULT_PEER_MESSAGE, 0, (1 << 64) - 1),
        their_init=_sctp_init(section),
    )


def _sctp_init(section: Section) -> bytes:
    """SNAP: a chunk that cannot be meant is an error, as the draft says (section 5.3)."""
    attribute = section.first("sctp-init")
    if attribute is None:
        return b""
    try:
        return parse_sctp_init(attribute.value)
    except Malformed as error:
        raise SdpError(attribute.line, f"sctp-init: {error.detail}") from None


def _number(section: Section, name: str, default: int, least: int, most: int) -> int:
    attribute = section.first(name)
    if attribute is None:
        return default
    text = attribute.value
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and least <= int(text) <= most):
        raise SdpError(attribute.line, f"{name} is not in {least}-{most}")
    return int(text)


def _offered(offer: Description) -> Iterator[str]:
    for section in offer.sections:
        if not is_offered(section):
            yield f"{section.kind} (port 0)"
        elif section.kind == "audio" and section.protocol not in PROTOCOLS:
            yield f"{section.kind} over {section.protocol[:40]}"
        else:
            names = [name for name, _, _ in read_rtpmaps(section).values()]
            names = list(dict.fromkeys(names or section.formats))
            more = ", ..." if len(names) > MAX_NAMED else ""
            yield f"{section.kind} with {', '.join(names[:MAX_NAMED])}{more}"


def _mirrored(offer: Description, section: Section, codecs: Collection[str]) -> AudioParameters:
    they_send, they_receive = read_direction(offer, section)
    return AudioParameters(
        section.mid,
        read_codecs(section, codecs),
        sends=they_receive,
        receives=they_send,
        packet_time=read_packet_time(section),
    )


def _nearest(blocks: tuple[Block, ...], name: str) -> Attribute | None:
    return next((found for block in blocks if (found := block.first(name))), None)


def _required(blocks: tuple[Block, ...], name: str, section: Section) -> Attribute:
    attribute = _nearest(blocks, name)
    if attribute is None:
        raise SdpError(section.line, f"no a={name} in this section or at session level")
    return attribute


def _fingerprints(blocks: tuple[Block, ...], section: Section) -> tuple[Fingerprint, ...]:
    block = next((block for block in blocks if block.has("fingerprint")), None)
    if block is None:
        raise SdpError(section.line, "no a=fingerprint in this section or at session level")
    found: list[Fingerprint] = []
    unknown: list[str] = []
    for attribute in block.all("fingerprint"):
        algorithm, _, text = attribute.value.partition(" ")
        algorithm = algorithm.lower()
        if not _DIGEST.fullmatch(text):
            raise SdpError(attribute.line, "fingerprint is not <hash> <hex:hex:...>")
        if algorithm not in DIGESTS:
            unknown.append(algorithm[:20])
            continue
        digest = bytes.fromhex(text.replace(":", ""))
        if len(digest) != DIGESTS[algorithm]:
            raise SdpError(
                attribute.line, f"a {algorithm} fingerprint has {DIGESTS[algorithm]} bytes"
            )
        found.append(Fingerprint(algorithm, digest))
    if not found:
        names = ", ".join(unknown[:MAX_NAMED])
        raise NothingInCommon(f"fingerprints offered: {names}. Served: {', '.join(DIGESTS)}")
    return tuple(found[:MAX_FINGERPRINTS])
