"""Which worker a route, a flow or a piece of text is about, and why none is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from typing import Final, NamedTuple

from appliance.supervisor.core.worker import Place
from config.ids import ClusterId, Endpoint, Role, Route
from ipc.messages.flows import FlowSummary
from ipc.messages.trace import Verdict

_SESSION: Final = re.compile(r"rtc_(\d{1,5})_([0-9A-Za-z]{1,64})")
_UFRAG: Final = re.compile(r"([0-9A-Za-z+/]{1,256})(?::.*)?")


class Kind(Enum):
    """What somebody may want to have followed."""

    CLIENT = "client"
    SESSION = "session"
    UFRAG = "ufrag"


class Subject(NamedTuple):
    """It, read."""

    kind: Kind
    token: str = ""
    """Of a ufrag or session id: what the keys made."""
    client: Endpoint | None = None


class Judgement(NamedTuple):
    """Of a route: whose it is, or why nobody's."""

    owner: Place | None
    verdict: Verdict = Verdict.LIVE
    why: str = ""


def read_subject(text: str) -> Subject | None:
    """`rtc_0_TOKEN`, a ufrag, the USERNAME of a check (`ours:theirs`), or ADDRESS:PORT; None if neither."""
    text = text.strip()
    if match := _SESSION.fullmatch(text):
        return Subject(Kind.SESSION, match[2])
    try:
        return Subject(Kind.CLIENT, client=Endpoint.parse(text))
    except ValueError:
        match = _UFRAG.fullmatch(text)
    return None if match is None else Subject(Kind.UFRAG, match[1])


def judge(route: Route, cluster: ClusterId, places: Iterable[Place]) -> Judgement:
    """Whose route that is."""
    if route.cluster != cluster:
        why = f"it was made in cluster {route.cluster}, and this is cluster {cluster}"
        return Judgement(None, Verdict.OTHER_CLUSTER, why)
    transceivers = [place for place in places if place.role is Role.TRANSCEIVER]
    boots = [p for p in transceivers if p.route and p.route.transceiver == route.transceiver]
    if not boots:
        there = ", ".join(map(_numbered, transceivers)) or "none"
        why = f"no transceiver has the number {route.transceiver} here now; there are: {there}"
        return Judgement(None, Verdict.NO_TRANSCEIVER, why)
    owner = next((place for place in boots if place.route == route), None)
    if owner is None:
        now = ", ".join(f"{p.name} is boot {p.route.epoch}" for p in boots if p.route)
        why = f"boot {route.epoch} of that transceiver is over with all its sessions; {now}"
        return Judgement(None, Verdict.STALE_EPOCH, why)
    if not owner.rpc:
        why = f"{owner.name} is {owner.state.value} and answers nobody"
        return Judgement(owner, Verdict.NO_ANSWER, why)
    return Judgement(owner)


def _numbered(place: Place) -> str:
    if place.route is None:
        return f"{place.name} ({place.state.value})"
    return f"{place.name} ({place.route.transceiver})"


def relays(places: Iterable[Place]) -> list[Place]:
    """Those that can be asked."""
    return [place for place in places if place.role is Role.RELAY and place.rpc]


def owners(places: Iterable[Place]) -> list[Place]:
    """The transceivers that can be asked."""
    return [place for place in places if place.role is Role.TRANSCEIVER and place.rpc]


def best(flows: Iterable[FlowSummary]) -> FlowSummary | None:
    """Of one client's flows the one that is likeliest in use: assured, heard of last."""
    return min(flows, key=lambda flow: (flow.state != "assured", flow.silence), default=None)
