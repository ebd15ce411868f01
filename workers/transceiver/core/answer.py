"""The answer to an offer: audio, data channels, whichever was offered; ICE lite, every candidate.

No `a=ice-options:trickle`: all our candidates are here and `end-of-candidates` says so, and a lite
end needs none of the client's. `ice2` says that we follow RFC 8445.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from config.ids import Endpoint
from workers.transceiver.core.codecs import encode_codecs
from workers.transceiver.core.interface import (
    AudioParameters,
    DtlsRole,
    Fingerprint,
    IceCredentials,
)
from workers.transceiver.core.negotiation import DATA_FORMAT, Agreement, direction_name
from workers.transceiver.core.sctp.interface import MAX_MESSAGE, SCTP_PORT
from workers.transceiver.core.sctp.snap import encode_sctp_init
from workers.transceiver.core.sdp import Section

HOST_TYPE_PREFERENCE: Final = 126
MAX_LOCAL_PREFERENCE: Final = 65_535
PASSIVE_PREFERENCE: Final = 4 << 13 | 8_191
"""RFC 6544, 4.2: the direction of a host candidate that is connected to, and the other preference."""
STREAM: Final = "tandem"
"""The media stream our track belongs to, so that a browser's `ontrack` has a stream."""


def dtls_role(agreement: Agreement) -> DtlsRole:
    """Ours: passive, unless the offerer can only be that (RFC 8842, 5.3)."""
    return DtlsRole.ACTIVE if agreement.peer.setup == "passive" else DtlsRole.PASSIVE


def encode_answer(
    agreement: Agreement,
    *,
    local: IceCredentials,
    fingerprint: Fingerprint,
    advertise: Sequence[Endpoint],
    advertise_tcp: Sequence[Endpoint] = (),
    origin: int,
    sctp_init: bytes = b"",
    ssrc: int | None = None,
) -> str:
    """The answer's text. `origin` is its session id, 63 bits; `advertise` has at least one address.

    `sctp_init`: our INIT chunk, if data channels are set up by SNAP. `ssrc`: what our audio will have.
    """
    taken = agreement.accepted
    lines = [
        "v=0",
        f"o=- {origin} 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
    ]
    if agreement.bundled:
        lines.append(f"a=group:BUNDLE {' '.join(section.mid for section in taken)}")
    options = " ".join(("ice2", *agreement.peer.sped))
    lines += ["a=ice-lite", f"a=ice-options:{options}", "a=msid-semantic: WMS *"]
    for section in agreement.offer.sections:
        if section is agreement.audio_section and agreement.audio is not None:
            lines += _audio(section, agreement.audio, advertise[0], ssrc)
        elif section is agreement.data_section:
            lines += _data(section, advertise[0], sctp_init)
        else:
            lines += _rejected(section)
            continue
        # In a bundle the first section's would do (RFC 9143, 7.1.3), but aiortc looks in each.
        lines += [
            f"a=ice-ufrag:{local.ufrag}",
            f"a=ice-pwd:{local.password}",
            encode_fingerprint(fingerprint),
            f"a=setup:{dtls_role(agreement).value}",
        ]
        if section is taken[0]:
            lines += [*encode_candidates(advertise, advertise_tcp), "a=end-of-candidates"]
    return "\r\n".join(lines) + "\r\n"


def encode_candidates(
    advertise: Sequence[Endpoint], advertise_tcp: Sequence[Endpoint] = ()
) -> Iterator[str]:
    """One host candidate per address, the first preferred (RFC 8445, 5.1.1.3 and 5.1.2.1).

    Those of TCP (RFC 6544, 4.5), which only can be connected to, come after all of UDP.
    """
    foundations: dict[str, int] = {}
    for transport, endpoints, highest in (
        ("udp", advertise, MAX_LOCAL_PREFERENCE),
        ("tcp", advertise_tcp, PASSIVE_PREFERENCE),
    ):
        suffix = " tcptype passive" if transport == "tcp" else ""
        for index, (host, port) in enumerate(endpoints):
            foundation = foundations.setdefault(transport + host, len(foundations) + 1)
            priority = HOST_TYPE_PREFERENCE << 24 | highest - index << 8 | 255
            candidate = f"{foundation} 1 {transport} {priority} {host} {port} typ host{suffix}"
            yield f"a=candidate:{candidate}"


def encode_fingerprint(fingerprint: Fingerprint) -> str:
    """The attribute line of RFC 8122."""
    return f"a=fingerprint:{fingerprint.algorithm} {fingerprint.digest.hex(':').upper()}"


def connection_line(endpoint: Endpoint) -> str:
    """The `c=` line of a default destination."""
    return f"c=IN {'IP6' if endpoint.is_ipv6 else 'IP4'} {endpoint.host}"


def _audio(
    section: Section, audio: AudioParameters, default: Endpoint, ssrc: int | None
) -> list[str]:
    formats = " ".join(str(codec.payload_type) for codec in audio.codecs)
    lines = [f"m=audio {default.port} {section.protocol} {formats}", connection_line(default)]
    if section.mid:
        lines.append(f"a=mid:{section.mid}")
    lines.append(f"a={direction_name(audio.sends, audio.receives)}")
    if audio.sends:
        lines.append(f"a=msid:{STREAM} {STREAM}-audio")
        if ssrc is not None:  # Pion plays nothing else where there is a second section
            lines.append(f"a=ssrc:{ssrc} msid:{STREAM} {STREAM}-audio")
    lines.append("a=rtcp-mux")
    if section.has("rtcp-rsize"):
        lines.append("a=rtcp-rsize")
    # No `rtcp-fb`, no `extmap`: docs/adr/0011-feedback-for-voice.md.
    return [*lines, *encode_codecs(audio.codecs), "a=ptime:20"]


def _data(section: Section, default: Endpoint, sctp_init: bytes) -> list[str]:
    """RFC 8841, 10: our port is always the same, and our limit of a message our own."""
    lines = [
        f"m={section.kind} {default.port} {section.protocol} {DATA_FORMAT}",
        connection_line(default),
        *([f"a=mid:{section.mid}"] if section.mid else []),
        f"a=sctp-port:{SCTP_PORT}",
        f"a=max-message-size:{MAX_MESSAGE}",
    ]
    if sctp_init:
        lines.append(f"a=sctp-init:{encode_sctp_init(sctp_init)}")
    return lines


def _rejected(section: Section) -> list[str]:
    """RFC 9429, 5.3.1: same kind, protocol, formats and mid; port 0; not in the bundle."""
    lines = [
        f"m={section.kind} 0 {section.protocol} {' '.join(section.formats)}",
        "c=IN IP4 0.0.0.0",
    ]
    if section.mid:
        lines.append(f"a=mid:{section.mid}")
    return [*lines, "a=inactive"]
