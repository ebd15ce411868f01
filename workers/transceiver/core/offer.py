"""The client's side of the exchange: make an offer, read the answer. The caller stands on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from config.ids import Endpoint, Transport
from workers.transceiver.core.answer import STREAM, encode_fingerprint
from workers.transceiver.core.candidates import read_candidates
from workers.transceiver.core.codecs import encode_codecs, read_codecs, read_packet_time
from workers.transceiver.core.interface import (
    AudioParameters,
    Codec,
    DataParameters,
    DtlsRole,
    Fingerprint,
    IceCredentials,
)
from workers.transceiver.core.negotiation import (
    DATA_FORMAT,
    NothingInCommon,
    data_section,
    direction_name,
    read_data,
    read_direction,
    read_peer,
)
from workers.transceiver.core.sctp.interface import MAX_MESSAGE, SCTP_PORT
from workers.transceiver.core.sctp.snap import encode_sctp_init
from workers.transceiver.core.sdp import Description, SdpError, Section, parse_description

AUDIO_MID: Final = "0"
DATA_MID: Final = "1"
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
    """UDP addresses, the highest priority first; names (mDNS) are left out."""
    tcp_candidates: tuple[Endpoint, ...]
    """The same of TCP, those that can be connected to."""
    audio: AudioParameters | None
    data: DataParameters | None
    """This or audio, or both."""
    sped: bool = False
    """The answerer puts DTLS into checks, if it was offered that."""


def build_offer(
    local: IceCredentials,
    fingerprint: Fingerprint,
    *,
    origin: int,
    codecs: Sequence[Codec] = CODECS,
    sends: bool = True,
    receives: bool = True,
    data: bool = False,
    ssrc: int | None = None,
    sped: bool = False,
    sctp_init: bytes = b"",
) -> str:
    """An offer of one bundle without candidates: the answerer learns our address.

    It has an audio section if there are `codecs`, and one of data channels if `data`. `ssrc`: of our
    audio; one can do without, as sections are told by payload types (RFC 9143, 9.2), but Janus does not.
    `sped`: checks may carry DTLS; `sctp_init`: our INIT chunk, for data channels by SNAP.
    """
    transport = (
        f"a=ice-ufrag:{local.ufrag}",
        f"a=ice-pwd:{local.password}",
        encode_fingerprint(fingerprint),
        "a=setup:actpass",
    )
    mids, sections = [], list[str]()
    if codecs:
        mids.append(AUDIO_MID)
        sections += [
            f"m=audio 9 UDP/TLS/RTP/SAVPF {' '.join(str(c.payload_type) for c in codecs)}",
            "c=IN IP4 0.0.0.0",
            f"a=mid:{AUDIO_MID}",
            f"a={direction_name(sends, receives)}",
            "a=rtcp-mux",
            "a=rtcp-rsize",
            *encode_codecs(codecs),
            *([f"a=ssrc:{ssrc} msid:{STREAM} {STREAM}-audio"] if ssrc is not None else ()),
            *transport,
        ]
    if data:
        mids.append(DATA_MID)
        sections += [
            f"m=application 9 UDP/DTLS/SCTP {DATA_FORMAT}",
            "c=IN IP4 0.0.0.0",
            f"a=mid:{DATA_MID}",
            f"a=sctp-port:{SCTP_PORT}",
            f"a=max-message-size:{MAX_MESSAGE}",
            *([f"a=sctp-init:{encode_sctp_init(sctp_init)}"] if sctp_init else ()),
            *transport,
        ]
    lines = [
        "v=0",
        f"o=- {origin} 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        f"a=group:BUNDLE {' '.join(mids)}",
        f"a=ice-options:{'ice2 sped' if sped else 'ice2'}",
        *sections,
    ]
    return "\r\n".join(lines) + "\r\n"


def parse_answer(text: str) -> Answer:
    """Read the answer to an offer of ours. Raises SdpError or NothingInCommon."""
    answer = parse_description(text)
    accepted = tuple(s for s in answer.sections if s.port != 0)
    audio = next((s for s in accepted if s.kind == "audio"), None)
    data = data_section(accepted)
    section = audio or data
    if section is None:
        raise NothingInCommon("the answer accepts no section of audio or data")
    peer = read_peer(answer, section, accepted)
    if peer.setup == "actpass":
        raise SdpError(section.line, "an answer must choose setup active or passive")
    return Answer(
        peer.credentials,
        peer.fingerprints,
        DtlsRole.ACTIVE if peer.setup == "passive" else DtlsRole.PASSIVE,
        peer.lite,
        read_candidates(*accepted, answer),
        read_candidates(*accepted, answer, transport=Transport.TCP),
        None if audio is None else _audio(answer, audio),
        None if data is None else read_data(data),
        bool(peer.sped),
    )


def _audio(answer: Description, section: Section) -> AudioParameters:
    codecs = read_codecs(section)
    if not codecs:
        raise NothingInCommon("the answer accepts no codec that was offered")
    they_send, they_receive = read_direction(answer, section)
    return AudioParameters(
        section.mid,
        codecs,
        sends=they_receive,
        receives=they_send,
        packet_time=read_packet_time(section),
    )
