"""The client's side of the exchange: make an offer, read the answer. The caller stands on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import Final

import msgspec

from config.ids import MAX_PORT, Endpoint
from workers.transceiver.core.answer import encode_codecs, encode_fingerprint
from workers.transceiver.core.interface import (
    AudioParameters,
    Codec,
    DtlsRole,
    Fingerprint,
    IceCredentials,
)
from workers.transceiver.core.negotiation import (
    NothingInCommon,
    direction_name,
    read_codecs,
    read_direction,
    read_peer,
)
from workers.transceiver.core.sdp import Description, SdpError, Section, parse_description

MID: Final = "0"
MAX_CANDIDATES: Final = 64
OPUS: Final = Codec("opus", 111, 48000, 2)
PCMU: Final = Codec("pcmu", 0, 8000)
PCMA: Final = Codec("pcma", 8, 8000)
CODECS: Final = (OPUS, PCMU, PCMA)


class Answer(msgspec.Struct, frozen=True):
    """What an offerer needs of an answer."""

    remote: IceCredentials
    fingerprints: tuple[Fingerprint, ...]
    dtls_role: DtlsRole
    """Ours, the offerer's."""
    lite: bool
    candidates: tuple[Endpoint, ...]
    """UDP addresses, the highest priority first; names (mDNS) and TCP are left out."""
    audio: AudioParameters


def build_offer(
    local: IceCredentials,
    fingerprint: Fingerprint,
    *,
    origin: int,
    codecs: Sequence[Codec] = CODECS,
    sends: bool = True,
    receives: bool = True,
) -> str:
    """An offer of one bundled audio section without candidates: the answerer learns our address."""
    lines = [
        "v=0",
        f"o=- {origin} 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        f"a=group:BUNDLE {MID}",
        "a=ice-options:ice2",
        f"m=audio 9 UDP/TLS/RTP/SAVPF {' '.join(str(c.payload_type) for c in codecs)}",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{MID}",
        f"a={direction_name(sends, receives)}",
        "a=rtcp-mux",
        *encode_codecs(codecs),
        f"a=ice-ufrag:{local.ufrag}",
        f"a=ice-pwd:{local.password}",
        encode_fingerprint(fingerprint),
        "a=setup:actpass",
    ]
    return "\r\n".join(lines) + "\r\n"


def parse_answer(text: str) -> Answer:
    """Read the answer to an offer of ours. Raises SdpError or NothingInCommon."""
    answer = parse_description(text)
    section = next((s for s in answer.sections if s.kind == "audio" and s.port != 0), None)
    if section is None:
        raise NothingInCommon("the answer accepts no audio section")
    peer = read_peer(answer, section, ())
    if peer.setup == "actpass":
        raise SdpError(section.line, "an answer must choose setup active or passive")
    codecs = read_codecs(section)
    if not codecs:
        raise NothingInCommon("the answer accepts no codec that was offered")
    they_send, they_receive = read_direction(answer, section)
    return Answer(
        peer.credentials,
        peer.fingerprints,
        DtlsRole.ACTIVE if peer.setup == "passive" else DtlsRole.PASSIVE,
        peer.lite,
        _candidates(answer, section),
        AudioParameters(section.mid, codecs, sends=they_receive, receives=they_send),
    )


def _candidates(answer: Description, section: Section) -> tuple[Endpoint, ...]:
    ranked: list[tuple[int, Endpoint]] = []
    for block in (section, answer):
        for attribute in block.all("candidate"):
            ranked += _candidate(attribute.line, attribute.value)
            if len(ranked) > MAX_CANDIDATES:
                raise SdpError(attribute.line, f"more than {MAX_CANDIDATES} candidates")
    ranked.sort(key=lambda pair: -pair[0])
    return tuple(dict.fromkeys(endpoint for _, endpoint in ranked))


def _candidate(line: int, value: str) -> Iterator[tuple[int, Endpoint]]:
    """RFC 8839, 5.1: foundation component transport priority address port typ type ..."""
    parts = value.split()
    numbers = (parts[1], parts[3], parts[5]) if len(parts) >= 8 and parts[6] == "typ" else ()
    if not numbers or not all(n.isascii() and n.isdigit() and len(n) <= 10 for n in numbers):
        raise SdpError(line, "not a candidate")
    component, priority, port = map(int, numbers)
    if port > MAX_PORT:
        raise SdpError(line, f"port {port} is not in 0-{MAX_PORT}")
    if component != 1 or parts[2].lower() != "udp" or port == 0:
        return
    try:
        host = str(ip_address(parts[4]))
    except ValueError:
        return  # a name: mDNS candidates need a resolver, and servers do not send them
    yield priority, Endpoint(host, port)
