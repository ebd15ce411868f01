"""What must hold whatever happens. Pure: evidence in, sentences out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

FD_SLACK: Final = 24
"""Descriptors that a process may have more at the end: connections just being made, one relay more."""
RSS_SLACK: Final = 32 << 20
"""Bytes: tables and rings that are touched for the first time."""
RSS_PER_CALL: Final = 256 << 10
"""Bytes more for each call: any transceiver may have all of them in the end."""


class Attempt(msgspec.Struct, frozen=True):
    """A call from its offer to its end."""

    session: str
    """Empty if there was no answer."""
    error: str
    connected: bool
    until: float
    """When it ended, by the monotonic clock."""
    messages_sent: int = 0
    messages_received: int = 0
    foreign: int = 0
    """Frames back that were never sent on this call."""
    astray: dict[str, int] = {}
    """Messages back that should not have come, by why."""


class Group(NamedTuple):
    """Calls that have something in common."""

    name: str
    attempts: tuple[Attempt, ...]
    keeps_messages: bool
    """Nothing stands between it and its echo that may die."""


class Process(NamedTuple):
    """What a process held."""

    descriptors: int
    rss: int


class Evidence(NamedTuple):
    """All that was seen."""

    calls: int = 0
    """That there were at a time."""
    groups: tuple[Group, ...] = ()
    doomed: Collection[str] = ()
    """Sessions of transceivers that were killed."""
    before: Mapping[int, Process] = {}
    """By pid, when it was warm."""
    after: Mapping[int, Process] = {}
    """When it was looked at last."""
    names: Mapping[int, str] = {}
    """Of those processes."""
    unconserved: Collection[str] = ()
    """Relays whose counters did not add up."""
    complaints: Collection[str] = ()
    """What went otherwise than it had to while it was done, each in a sentence."""
    not_ready: Collection[str] = ()
    """Workers that were not ready in the end."""
    probes_failed: int = 0
    """Of the calls that were placed when it was over."""
    sessions_left: int = 0
    """When all had hung up."""
    exit_code: int | None = 0
    """Of the supervisor, told to end."""
    outlived: Collection[str] = ()
    """Workers that were still there after it."""
    closed: Mapping[str, int] = {}
    """Sessions that transceivers have closed, by reason: no judgement, but a hint."""
    began: float = 0.0
    """The monotonic clock, when the campaign did."""
    log: str = ""


def judge(evidence: Evidence) -> list[str]:
    """What was broken, each in a sentence."""
    return list(_broken(evidence))


def _broken(evidence: Evidence) -> Iterator[str]:
    for group in evidence.groups:
        yield from _sessions(group, evidence)
        yield from _messages(group)
    for name in evidence.unconserved:
        yield f"{name}: received is not forwarded, handed up and dropped"
    yield from evidence.complaints
    for name in evidence.not_ready:
        yield f"{name} is not ready again"
    if evidence.probes_failed:
        yield f"{evidence.probes_failed} calls failed when it was over"
    if evidence.sessions_left:
        yield f"{evidence.sessions_left} sessions are left of calls that have hung up"
    if evidence.exit_code:
        yield f"the supervisor ended with {evidence.exit_code}"
    for name in evidence.outlived:
        yield f"{name} has outlived the appliance"
    yield from _growth(evidence)
    tracebacks = evidence.log.count("Traceback")
    if tracebacks:
        yield f"{tracebacks} tracebacks in the log"


def _sessions(group: Group, evidence: Evidence) -> Iterator[str]:
    for attempt in group.attempts:
        if attempt.connected and attempt.error and attempt.session not in evidence.doomed:
            at = attempt.until - evidence.began
            yield f"{group.name}: {attempt.session} was lost: {attempt.error} (at {at:.1f} s)"
        if attempt.foreign:
            yield f"{group.name}: {attempt.session} heard {attempt.foreign} frames of somebody else"
        for why, number in attempt.astray.items():
            yield f"{group.name}: {attempt.session} got {number} messages that were {why}"


def _messages(group: Group) -> Iterator[str]:
    if not group.keeps_messages:
        return
    for attempt in _ended_well(group.attempts):
        if (lost := attempt.messages_sent - attempt.messages_received) > 0:
            yield f"{group.name}: {attempt.session} lost {lost} of {attempt.messages_sent} messages"


def _ended_well(attempts: Iterable[Attempt]) -> Iterator[Attempt]:
    return (attempt for attempt in attempts if attempt.connected and not attempt.error)


def _growth(evidence: Evidence) -> Iterator[str]:
    slack = RSS_SLACK + RSS_PER_CALL * evidence.calls
    for pid, before in evidence.before.items():
        after = evidence.after.get(pid, before)
        name = evidence.names.get(pid, "process")
        if (more := after.descriptors - before.descriptors) > FD_SLACK:
            yield f"{name} ({pid}) has {more} descriptors more"
        if (grown := after.rss - before.rss) > slack:
            yield f"{name} ({pid}) has grown by {grown >> 20} MB"
