"""What an offer or an answer means for us: who the peer is, and the audio that both can (RFC 9429).

One bundled transport with one audio section is served, and one section of data channels beside it in
the same bundle. Every other section is rejected with port 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from config.ids import MAX_PORT
from workers.transceiver.core.interface import (
    AudioParameters,
    Codec,
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
SERVED: Final = {("opus", 48000, 2): 0, ("pcmu", 8000, 1): 1, ("pcma", 8000, 1): 1}
"""Encodings and their rank; equals stay in the offerer's order."""
STATIC: Final = {0: ("PCMU", 8000, 1), 8: ("PCMA", 8000, 1)}
"""RFC 3551, 6: payload types that need no rtpmap."""
SERVED_NAMES: Final = "opus/48000/2, PCMU/8000, PCMA/8000"
DIGESTS: Final = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
MAX_FINGERPRINTS: Final = 8
MAX_NAMED: Final = 12

_ICE_CHARS: Final = re.compile(r"[0-9A-Za-z+/]*")
_DIGEST: Final = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})*")
_RTPMAP: Final = re.compile(r"(\d{1,3}) ([^/ ]+)/(\d{1,6})(?:/(\d{1,2}))?", re.ASCII)
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
    section: Section
    """The one section that is accepted."""
    bundled: bool
    peer: PeerDescription
    audio: AudioParameters
    data_section: Section | None = None
    """The section of data channels that is accepted, too."""
    data: DataParameters | None = None


def negotiate(offer: Description) -> Agreement:
    """Find what an offer and we have in common. Raises SdpError or NothingInCommon."""
    _distinct_mids(offer)
    section = _audio_section(offer)
    group = bundle_group(offer)
    bundled = bool(section.mid) and section.mid in group
    if not section.has("rtcp-mux"):
        raise NothingInCommon(f"line {section.line}: the audio section does not offer rtcp-mux")
    siblings = tuple(s for s in offer.sections if s.mid in group) if bundled else ()
    peer = read_peer(offer, section, siblings)
    if peer.lite:
        raise NothingInCommon("both ends are ICE lite: nobody would send checks")
    data_section = _data_section(siblings)
    data = None if data_section is None else _read_data(data_section)
    return Agreement(offer, section, bundled, peer, _mirrored(offer, section), data_section, data)


def read_peer(
    description: Description, section: Section, siblings: tuple[Section, ...]
) -> PeerDescription:
    """Credentials, fingerprints and role of the peer. Raises SdpError or NothingInCommon.

    In a bundle the attributes may stand in its tagged section alone (RFC 9143, 7.1.3), and outside
    it at session level: the section's own count first.
    """
    blocks: tuple[Block, ...] = (section, *siblings, description)
    ufrag = _required(blocks, "ice-ufrag", section)
    password = _required(blocks, "ice-pwd", section)
    for attribute, least in ((ufrag, 4), (password, 22)):
        if not (least <= len(attribute.value) <= 256 and _ICE_CHARS.fullmatch(attribute.value)):
            raise SdpError(attribute.line, f"{attribute.name} is not {least}-256 ICE characters")
    setup = _nearest(blocks, "setup")
    if setup is not None and setup.value not in _SETUPS:
        raise SdpError(setup.line, f"setup {setup.value[:20]!r} is unknown")
    if setup is not None and setup.value == "holdconn":
        raise NothingInCommon(f"line {setup.line}: setup holdconn asks for no connection")
    return PeerDescription(
        IceCredentials(ufrag.value, password.value),
        _fingerprints(blocks, section),
        setup.value if setup else "actpass",
        description.has("ice-lite"),
        _sped(blocks),
    )


def _sped(blocks: tuple[Block, ...]) -> tuple[str, ...]:
    attribute = _nearest(blocks, "ice-options")
    options = attribute.value.split() if attribute else ()
    return tuple(option for option in SPED_OPTIONS if option in options)


def read_codecs(section: Section) -> tuple[Codec, ...]:
    """The encodings of a section that we serve, best first, one per name. Raises SdpError."""
    names = _rtpmaps(section)
    parameters: dict[int, str] = {}
    for attribute in section.all("fmtp"):
        number, _, value = attribute.value.partition(" ")
        if number.isascii() and number.isdigit() and len(number) <= 3:
            parameters[int(number)] = value.strip()
    codecs: dict[str, Codec] = {}
    for payload_type in _payload_types(section):
        encoding = names.get(payload_type) or STATIC.get(payload_type)
        if encoding is None:
            continue
        name, clock_rate, channels = encoding[0].lower(), encoding[1], encoding[2]
        if (name, clock_rate, channels) in SERVED:
            fmtp = parameters.get(payload_type, "")
            codecs.setdefault(name, Codec(name, payload_type, clock_rate, channels, fmtp))
    return tuple(sorted(codecs.values(), key=lambda c: SERVED[c.name, c.clock_rate, c.channels]))


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


def bundle_group(description: Description) -> tuple[str, ...]:
    """Tags of the first BUNDLE group (RFC 9143), or none."""
    for attribute in description.all("group"):
        words = attribute.value.split()
        if words[:1] == ["BUNDLE"]:
            return tuple(words[1:])
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


def _audio_section(offer: Description) -> Section:
    for section in offer.sections:
        if (
            section.kind == "audio"
            and is_offered(section)
            and section.protocol in PROTOCOLS
            and read_codecs(section)
        ):
            return section
    offered = "; ".join(_offered(offer)) or "no media section"
    raise NothingInCommon(f"offered: {offered}. Served: one audio section with {SERVED_NAMES}")


def _data_section(siblings: tuple[Section, ...]) -> Section | None:
    """RFC 8841: the first of the bundle; older forms (`DTLS/SCTP 5000`) are not served."""
    for section in siblings:
        if (
            section.kind == "application"
            and is_offered(section)
            and section.protocol in DATA_PROTOCOLS
            and section.formats == (DATA_FORMAT,)
        ):
            return section
    return None


def _read_data(section: Section) -> DataParameters:
    return DataParameters(
        section.mid,
        _number(section, "sctp-port", SCTP_PORT, 1, MAX_PORT),
        _number(section, "max-message-size", DEFAULT_PEER_MESSAGE, 0, (1 << 64) - 1),
        their_init=_sctp_init(section),
    )


def _sctp_init(section: Section) -> bytes:
    """SNAP: a chunk that cannot be meant is an error, as the draft says (section 4.3)."""
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
            names = [name for name, _, _ in _rtpmaps(section).values()]
            names = list(dict.fromkeys(names or section.formats))
            more = ", ..." if len(names) > MAX_NAMED else ""
            yield f"{section.kind} with {', '.join(names[:MAX_NAMED])}{more}"


def _mirrored(offer: Description, section: Section) -> AudioParameters:
    they_send, they_receive = read_direction(offer, section)
    codecs = read_codecs(section)
    return AudioParameters(section.mid, codecs, sends=they_receive, receives=they_send)


def _payload_types(section: Section) -> Iterator[int]:
    for text in section.formats:
        if not (text.isascii() and text.isdigit() and len(text) <= 3 and int(text) < 128):
            raise SdpError(section.line, f"{text[:20]!r} is not a payload type")
        # RFC 5761, 4: with rtcp-mux these would look like RTCP.
        if not 64 <= int(text) < 96:
            yield int(text)


def _rtpmaps(section: Section) -> dict[int, tuple[str, int, int]]:
    names: dict[int, tuple[str, int, int]] = {}
    for attribute in section.all("rtpmap"):
        match = _RTPMAP.fullmatch(attribute.value)
        if match is None:
            raise SdpError(attribute.line, "rtpmap is not <type> <name>/<rate>[/<channels>]")
        names[int(match[1])] = (match[2][:40], int(match[3]), int(match[4] or 1))
    return names


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
