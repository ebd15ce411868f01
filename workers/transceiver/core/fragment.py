"""SDP fragments: what a client says of ICE after its offer, and what we say back (RFC 8840, RFC 9725)."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import msgspec

from config.ids import Endpoint
from workers.transceiver.core.answer import encode_candidates
from workers.transceiver.core.candidates import read_candidates
from workers.transceiver.core.interface import IceCredentials
from workers.transceiver.core.negotiation import read_credentials
from workers.transceiver.core.sdp import Description, SdpError, Section, parse_fragment

_TAG_BYTES: Final = 12


class Fragment(msgspec.Struct, frozen=True):
    """What one says."""

    credentials: IceCredentials | None
    """None if it names none."""
    candidates: tuple[Endpoint, ...]
    """UDP addresses of the client, for what they are worth: it is reached where its checks come from."""
    ended: bool
    """There will be no more candidates."""
    section: Section | None
    """Its first media line, which the bundle's transport belongs to."""
    mids: tuple[str, ...]
    """Of all its sections that name one."""


def read_fragment(text: str) -> Fragment:
    """The meaning of a fragment. Raises SdpError.

    ufrag and password may stand at session level, as RFC 8840 has it, or under a media line, as
    RFC 9725 has it; wherever they stand more than once, they must be the same.
    """
    description = parse_fragment(text)
    sections = description.sections
    return Fragment(
        credentials=_credentials(description),
        candidates=read_candidates(description, *sections),
        ended=any(block.has("end-of-candidates") for block in (description, *sections)),
        section=sections[0] if sections else None,
        mids=tuple(section.mid for section in sections if section.mid),
    )


def encode_fragment(
    section: Section | None,
    local: IceCredentials,
    advertise: Sequence[Endpoint],
    advertise_tcp: Sequence[Endpoint] = (),
) -> str:
    """Our side of an ICE restart, under the media line that the client's fragment had."""
    lines = ["a=ice-lite", "a=ice-options:ice2"]
    if section is not None:
        if section.mid:
            lines.append(f"a=group:BUNDLE {section.mid}")
        lines.append(f"m={section.kind} 9 {section.protocol} {' '.join(section.formats)}")
        if section.mid:
            lines.append(f"a=mid:{section.mid}")
    lines += [
        f"a=ice-ufrag:{local.ufrag}",
        f"a=ice-pwd:{local.password}",
        *encode_candidates(advertise, advertise_tcp),
        "a=end-of-candidates",
    ]
    return "\r\n".join(lines) + "\r\n"


def encode_restart(local: IceCredentials) -> str:
    """What a client without candidates says to restart ICE: its new credentials alone."""
    return f"a=ice-ufrag:{local.ufrag}\r\na=ice-pwd:{local.password}\r\n"


def tag_of(local: IceCredentials) -> str:
    """Names the ICE session of these credentials: the entity tag of WHIP (RFC 9725, 4.3.1)."""
    return blake2b(local.ufrag.encode(), digest_size=_TAG_BYTES).hexdigest()


def _credentials(description: Description) -> IceCredentials | None:
    found: IceCredentials | None = None
    for block in (description, *description.sections):
        ufrag, password = block.first("ice-ufrag"), block.first("ice-pwd")
        if ufrag is None and password is None:
            continue
        if ufrag is None or password is None:
            alone = ufrag or password
            assert alone is not None
            missing = "ice-pwd" if password is None else "ice-ufrag"
            raise SdpError(alone.line, f"{alone.name} without {missing} at the same level")
        credentials = read_credentials(ufrag, password)
        if found is not None and found != credentials:
            raise SdpError(
                ufrag.line, "other credentials than before; all sections share one bundle"
            )
        found = credentials
    return found
