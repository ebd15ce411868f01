"""What a campaign has shown, as one flat object, and as a part of a page."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tests.campaign.judge import Attempt, Evidence
from tests.campaign.plan import NATURES, Kind

BEGIN: Final = "<!-- campaign: written by `make campaign` -->"
END: Final = "<!-- campaign ends -->"


def again(seed: int, faults: int, seconds: float, calls: int) -> str:
    """The command that does it once more."""
    words = ["python", "-m", "tests.campaign", "--seed", str(seed), "--faults", str(faults)]
    return shlex.join([*words, "--seconds", f"{seconds:g}", "--calls", str(calls)])


def fields(
    happened: Mapping[Kind, int],
    lacking: Mapping[Kind, str],
    evidence: Evidence,
    broken: Sequence[str],
) -> dict[str, Any]:
    """For `--json`."""
    attempts = [attempt for group in evidence.groups for attempt in group.attempts]
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
        "not_run": {kind.value: why for kind, why in lacking.items()},
    }


def table(found: Mapping[str, Any]) -> str:
    """A row a fault, of what `fields` gave."""
    return "\n".join(_rows(found["happened"], found["not_run"]))


def part(found: Mapping[str, Any]) -> str:
    """Of a page: the table, and what came of it."""
    summary = (
        f"{found['faults']} faults within {found['seconds']:.0f} s, seed {found['seed']}, beside"
        f" {found['calls']} calls ({found['calls_placed']} placed in all, {found['messages']:,} messages"
        f" on their data channels, {found['calls_ended_with_their_transceiver']} ended with their"
        f" transceiver): **{found['invariants_broken']} invariants broken**."
    )
    return f"{BEGIN}\n\n{table(found)}\n\n{summary}\n\n    {found['again']}\n\n{END}"


def put_into(page: str, found: Mapping[str, Any]) -> str:
    """The page with that part in place of the one it had."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + part(found) + after


def _rows(happened: Mapping[str, int], not_run: Mapping[str, str]) -> Iterator[str]:
    yield "| what happens | what may be lost | times |"
    yield "|---|---|--:|"
    for kind, nature in NATURES.items():
        why = not_run.get(kind.value)
        times = f"not run: {why}" if why else str(happened.get(kind.value) or "not by this seed")
        yield f"| {kind} | {nature.may_lose} | {times} |"


def _ended(attempt: Attempt) -> bool:
    return attempt.connected and bool(attempt.error)
