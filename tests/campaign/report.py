"""What a campaign has shown, as one flat object and as a table."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.campaign.judge import Attempt, Evidence
from tests.campaign.plan import NATURES, Fault, Kind


def again(seed: int, faults: int, seconds: float, calls: int) -> str:
    """The command that does it once more."""
    words = ["python", "-m", "tests.campaign", "--seed", str(seed), "--faults", str(faults)]
    return shlex.join([*words, "--seconds", f"{seconds:g}", "--calls", str(calls)])


def fields(
    faults: Sequence[Fault],
    happened: Mapping[Kind, int],
    lacking: Mapping[Kind, str],
    evidence: Evidence,
    broken: Sequence[str],
) -> dict[str, Any]:
    """For `--json`."""
    attempts = [attempt for group in evidence.groups for attempt in group.attempts]
    planned = Counter(fault.kind for fault in faults)
    return {
        "faults": sum(happened.values()),
        "invariants_broken": len(broken),
        "calls": evidence.calls,
        "calls_placed": len(attempts),
        "calls_ended_with_their_transceiver": sum(map(_ended, attempts)),
        "calls_refused_meanwhile": sum(not attempt.connected for attempt in attempts),
        "messages": sum(attempt.messages_sent for attempt in attempts),
        "broken": list(broken),
        "happened": {kind.value: number for kind, number in happened.items()},
        "not_run": {
            kind.value: f"{planned[kind]} planned: {why}"
            for kind, why in lacking.items()
            if planned[kind]
        },
    }


def table(happened: Mapping[Kind, int], lacking: Mapping[Kind, str]) -> str:
    """A row a fault, for people and for the docs."""
    return "\n".join(_rows(happened, lacking))


def _rows(happened: Mapping[Kind, int], lacking: Mapping[Kind, str]) -> Iterator[str]:
    yield "| what happens | what may be lost | times |"
    yield "|---|---|--:|"
    for kind, nature in NATURES.items():
        times = f"not run: {lacking[kind]}" if kind in lacking else str(happened.get(kind, 0))
        yield f"| {kind} | {nature.may_lose} | {times} |"


def _ended(attempt: Attempt) -> bool:
    return attempt.connected and bool(attempt.error)
