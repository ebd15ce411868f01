"""Payload formats in SDP: which of those that are offered we serve, and how we write them (RFC 8866, 6.6).

Payload types are the offerer's, in both directions, and so is the order: what it names first, it would
rather hear. Keys of a telephone (RFC 4733) come after what is sound.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from workers.transceiver.core.sdp import SdpError, Section
from workers.transceiver.core.streams.interface import Codec

VOICES: Final = ("opus", "pcmu", "pcma")
"""Encodings that are sound."""
EVENTS: Final = "telephone-event"
SERVED: Final = frozenset(
    {
        ("opus", 48_000, 2),
        ("pcmu", 8_000, 1),
        ("pcma", 8_000, 1),
        (EVENTS, 8_000, 1),
        (EVENTS, 48_000, 1),
    }
)
PACKET_TIMES: Final = (10, 20, 40, 60)
"""Milliseconds that a packet of ours may play."""
PACKET_TIME: Final = 20

_SPELLED: Final = {
    "opus": "opus/48000/2",
    "pcmu": "PCMU/8000",
    "pcma": "PCMA/8000",
}
_OPUS_CHANNELS: Final = 2
"""Whatever the rtpmap says: RFC 7587, 7 demands 2, and GStreamer leaves them out for a mono source."""
_STATIC: Final = {0: ("PCMU", 8_000, 1), 8: ("PCMA", 8_000, 1)}
"""RFC 3551, 6: payload types that need no rtpmap."""
_OPUS_PARAMETERS: Final = "minptime=10;useinbandfec=1"
_ALL_KEYS: Final = "0-15"
_RTPMAP: Final = re.compile(r"(\d{1,3}) ([^/ ]+)/(\d{1,6})(?:/(\d{1,2}))?", re.ASCII)
_NUMBER: Final = re.compile(r"\d{1,5}", re.ASCII)


def read_codecs(section: Section, allowed: Collection[str] = VOICES) -> tuple[Codec, ...]:
    """The encodings of a section that we serve, in its order, one per name and clock, keys last.

    Empty if none is sound. Raises SdpError.
    """
    names = read_rtpmaps(section)
    parameters: dict[int, str] = {}
    for attribute in section.all("fmtp"):
        number, _, value = attribute.value.partition(" ")
        if number.isascii() and number.isdigit() and len(number) <= 3:
            parameters[int(number)] = value.strip()
    codecs: dict[tuple[str, int], Codec] = {}
    for payload_type in _payload_types(section):
        encoding = names.get(payload_type) or _STATIC.get(payload_type)
        if encoding is None:
            continue
        name, clock_rate, channels = encoding[0].lower(), encoding[1], encoding[2]
        if name == "opus":
            channels = _OPUS_CHANNELS
        if (name, clock_rate, channels) in SERVED and (name in allowed or name == EVENTS):
            codec = Codec(
                name, payload_type, clock_rate, channels, parameters.get(payload_type, "")
            )
            codecs.setdefault((name, clock_rate), codec)
    voices = [codec for codec in codecs.values() if codec.name != EVENTS]
    keys = [codec for codec in codecs.values() if codec.name == EVENTS]
    return tuple(voices + keys) if voices else ()


def read_packet_time(section: Section) -> int:
    """Milliseconds that our packets should play: as the peer would like, no longer than it can.

    Whoever names a time that makes no sense has named none.
    """
    wanted, most = _milliseconds(section, "ptime"), _milliseconds(section, "maxptime")
    limit = min(wanted or PACKET_TIME, most or PACKET_TIMES[-1])
    return max((time for time in PACKET_TIMES if time <= limit), default=PACKET_TIMES[0])


def encode_codecs(codecs: Sequence[Codec]) -> Iterator[str]:
    """`rtpmap` and `fmtp` lines."""
    for codec in codecs:
        spelled = _SPELLED.get(codec.name) or f"{codec.name}/{codec.clock_rate}"
        yield f"a=rtpmap:{codec.payload_type} {spelled}"
        if codec.name == "opus":
            yield f"a=fmtp:{codec.payload_type} {_OPUS_PARAMETERS}"
        elif codec.name == EVENTS:
            yield f"a=fmtp:{codec.payload_type} {_ALL_KEYS}"


def spell(allowed: Collection[str]) -> str:
    """For a person: the encodings that are served."""
    return ", ".join(_SPELLED[name] for name in VOICES if name in allowed)


def read_rtpmaps(section: Section) -> dict[int, tuple[str, int, int]]:
    """Payload type -> (encoding name, clock rate, channels). Raises SdpError."""
    names: dict[int, tuple[str, int, int]] = {}
    for attribute in section.all("rtpmap"):
        match = _RTPMAP.fullmatch(attribute.value)
        if match is None:
            raise SdpError(attribute.line, "rtpmap is not <type> <name>/<rate>[/<channels>]")
        names[int(match[1])] = (match[2][:40], int(match[3]), int(match[4] or 1))
    return names


def _payload_types(section: Section) -> Iterator[int]:
    for text in section.formats:
        if not (text.isascii() and text.isdigit() and len(text) <= 3 and int(text) < 128):
            raise SdpError(section.line, f"{text[:20]!r} is not a payload type")
        # RFC 5761, 4: with rtcp-mux these would look like RTCP.
        if not 64 <= int(text) < 96:
            yield int(text)


def _milliseconds(section: Section, name: str) -> int:
    attribute = section.first(name)
    found = attribute and _NUMBER.match(attribute.value)
    return int(found[0]) if found else 0
