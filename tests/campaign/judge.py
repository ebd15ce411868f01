"""What must hold whatever happens. Pure: evidence in, sentences out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

FD_SLACK: Final = 16
"""Descriptors that a process may have more at the end: connections that are just being made."""
RSS_SLACK: Final = 32 << 20
"""Bytes: tables and rings that are touched for the first time."""


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

    groups: tuple[Group, ...]
    doomed: Collection[str]
    """Sessions of transceivers that were killed."""
    before: dict[int, Process]
    """By pid, when all was well."""
    after: dict[int, Process]
    """When all was well again."""
    unconserved: Collection[str]
    """Relays whose counters did not add up."""
    not_ready: Collection[str]
    """Workers that were not ready in the end."""
    probes_failed: int
    """Of the calls that were placed when it was over."""
    log: str


def judge(evidence: Evidence) -> list[str]:
    """What was broken, each in a sentence."""
    return list(_broken(evidence))


def _broken(evidence: Evidence) -> Iterator[str]:
    for group in evidence.groups:
        yield from _sessions(group, evidence.doomed)
        yield from _messages(group)
    for name in evidence.unconserved:
        yield f"{name}: received is not forwarded, handed up and dropped"
    for name in evidence.not_ready:
        yield f"{name} is not ready again"
    if evidence.probes_failed:
        yield f"{evidence.probes_failed} calls failed when it was over"
    yield from _growth(evidence.before, evidence.after)
    tracebacks = evidence.log.count("Traceback")
    if tracebacks:
        yield f"{tracebacks} tracebacks in the log"


def _sessions(group: Group, doomed: Collection[str]) -> Iterator[str]:
    for attempt in group.attempts:
        if attempt.connected and attempt.error and attempt.session not in doomed:
            yield f"{group.name}: {attempt.session} was lost: {attempt.error}"
        if attempt.foreign:
            yield f"{group.name}: {attempt.session} heard {attempt.foreign} frames of somebody else"


def _messages(group: Group) -> Iterator[str]:
    if not group.keeps_messages:
        return
    for attempt in _ended_well(group.attempts):
        if (lost := attempt.messages_sent - attempt.messages_received) > 0:
            yield f"{group.name}: {attempt.session} lost {lost} of {attempt.messages_sent} messages"


def _ended_well(attempts: Iterable[Attempt]) -> Iterator[Attempt]:
    return (attempt for attempt in attempts if attempt.connected and not attempt.error)


def _growth(before: dict[int, Process], after: dict[int, Process]) -> Iterator[str]:
    for pid in before.keys() & after.keys():
        more = after[pid].descriptors - before[pid].descriptors
        if more > FD_SLACK:
            yield f"process {pid} has {more} descriptors more"
        grown = after[pid].rss - before[pid].rss
        if grown > RSS_SLACK:
            yield f"process {pid} has grown by {grown >> 20} MB"
