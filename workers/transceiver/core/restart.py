"""What a client's fragment changes: nothing (trickle), or the ICE credentials (restart) (RFC 9725, 4.3).

We are reached, and learn a client's addresses from its checks; so its candidates are read, held to their
grammar, and not kept.
"""

from __future__ import annotations

from collections.abc import Callable

from ipc.messages.sessions import Problem
from workers.transceiver.core.admission import Settings, mint_credentials
from workers.transceiver.core.entry import Entry
from workers.transceiver.core.fragment import Fragment, encode_fragment, read_fragment, tag_of
from workers.transceiver.core.interface import IcePatched, PatchIce, Refused, RestartIce
from workers.transceiver.core.sdp import SdpError


def heed(
    event: PatchIce, entry: Entry, settings: Settings, entropy: Callable[[int], bytes]
) -> tuple[IcePatched, RestartIce | None] | Refused:
    """Judge a fragment. The refusal names what was wrong, for the person who reads it."""
    tag = tag_of(entry.local)
    if event.expected and tag not in event.expected:
        detail = (
            "the entity tag is not that of the current ICE credentials; a restart has changed it"
        )
        return Refused(event.ticket, Problem.STALE_ICE, detail)
    try:
        fragment = read_fragment(event.fragment)
    except SdpError as error:
        return Refused(event.ticket, Problem.MALFORMED_FRAGMENT, str(error))
    strangers = [mid for mid in fragment.mids if mid not in _mids(entry)]
    if strangers:
        detail = f"mid {strangers[0][:20]!r} is not one of the answer's accepted sections"
        return Refused(event.ticket, Problem.UNUSABLE_FRAGMENT, detail)
    if event.expected:
        return _trickle(event, fragment, entry, tag)
    return _restart(event, fragment, entry, settings, entropy)


def _trickle(
    event: PatchIce, fragment: Fragment, entry: Entry, tag: str
) -> tuple[IcePatched, None] | Refused:
    if fragment.credentials not in (None, entry.remote):
        detail = 'new ICE credentials ask for a restart, which goes with If-Match: "*"'
        return Refused(event.ticket, Problem.UNUSABLE_FRAGMENT, detail)
    return IcePatched(event.ticket, entry.id, tag), None


def _restart(
    event: PatchIce,
    fragment: Fragment,
    entry: Entry,
    settings: Settings,
    entropy: Callable[[int], bytes],
) -> tuple[IcePatched, RestartIce | None] | Refused:
    if fragment.credentials is None:
        detail = "an ICE restart brings a new ice-ufrag and ice-pwd"
        return Refused(event.ticket, Problem.UNUSABLE_FRAGMENT, detail)
    restart = None
    local = entry.local
    # The same credentials again are the same restart, whose answer did not arrive.
    if fragment.credentials != entry.remote:
        local = mint_credentials(settings, entropy)
        restart = RestartIce(local, fragment.credentials)
    advertise = entry.parameters.advertise
    said = encode_fragment(fragment.section, local, advertise, settings.tcp_beside(advertise))
    return IcePatched(event.ticket, entry.id, tag_of(local), said), restart


def _mids(entry: Entry) -> tuple[str, ...]:
    parameters = entry.parameters
    return tuple(agreed.mid for agreed in (parameters.audio, parameters.data) if agreed is not None)
