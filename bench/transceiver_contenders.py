"""The same calls against whatever echoes: Tandem's transceiver and its peers take turns.

A turn is so many calls of 50 packets a second, placed by `tandem call`, and a window while all of them
talk. The cost is the CPU time of the process that carries the media, all its threads, user and system, as
the scheduler counts, divided by the packets that it sent back in that window.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from bench.appliance import call
from bench.spot_check import Spotter
from bench.usage import process_cpu, resident, threads_cpu

PACKETS: Final = 50
"""A second and call."""
PLACED: Final = 100
"""Calls a second."""
START: Final = 0.5
"""Seconds that the caller may take to begin."""
SETTLE: Final = 0.6
"""Seconds after the last call was placed until the window begins, beyond what set-up costs."""
_SETUP: Final = {"aiortc": 0.04}
"""Seconds of CPU a call that a peer is known to take: it cannot take them any faster."""


class Contender(NamedTuple):
    """Something that echoes."""

    name: str
    url: str
    pid: int
    """The process that carries the media."""


class Turn(NamedTuple):
    """What one turn of one contender showed."""

    us: float
    """CPU per echoed packet, microseconds."""
    busy: float
    """Share of its CPU; at 1 it cannot do more, and what it costs is no longer comparable."""
    kilobytes: float
    """Resident memory per session, over what it had before the calls."""
    report: dict[str, Any]
    """What the caller saw."""
    amiss: str | None = None
    """What the independent client found wrong, empty if nothing; None if it was not asked."""

    @property
    def failed(self) -> int:
        """Calls that did not go as they should."""
        return int(self.report["sessions_failed"])

    @property
    def lost(self) -> float:
        """Share of the packets that did not come back."""
        return 1 - float(self.report["packets_received"]) / max(
            float(self.report["packets_sent"]), 1
        )


def take_turn(
    contender: Contender, *, sessions: int, seconds: float, spotter: Spotter | None = None
) -> Turn:
    """So many calls, watched for `seconds`; and one more that the spotter hears meanwhile."""
    rate = min(PLACED, 1 / _SETUP.get(contender.name, 1 / PLACED))
    lead = START + sessions / rate + SETTLE
    before = resident(contender.pid)
    if spotter is not None:
        spotter.call(contender.url)
    caller = call(contender.url, count=sessions, rate=rate, seconds=lead + seconds - START + 0.2)
    time.sleep(lead)
    began, cpu = time.monotonic(), threads_cpu(contender.pid)
    time.sleep(seconds)
    cpu, window = threads_cpu(contender.pid) - cpu, time.monotonic() - began
    grown = resident(contender.pid) - before
    amiss = None if spotter is None else spotter.verdict()
    report = caller.report()
    came = report["packets_received"] / max(report["packets_sent"], 1)
    talking = sessions if spotter is None else sessions + 1
    echoed = talking * PACKETS * window * came
    return Turn(cpu * 1e6 / max(echoed, 1), cpu / window, grown / 1024 / talking, report, amiss)


def set_up_cpu(contender: Contender, count: int) -> float:
    """Milliseconds of CPU of a call that says next to nothing, hang-up included; of its process alone.

    Calls come as fast as they are answered. Of the process and not of its threads: some end with a call.
    """
    before = process_cpu(contender.pid)
    report = call(contender.url, count=count, rate=0, seconds=0.1).report()
    return (process_cpu(contender.pid) - before) * 1000 / max(connected(report, count), 1)


def connected(report: Mapping[str, Any], count: int) -> int:
    """Of so many calls, those that came that far: five frames are too few for some to send one back."""
    failed = sum(e["count"] for e in report["errors"] if not e["error"].startswith("connected"))
    return count - int(failed)


def medians(turns: Mapping[str, Sequence[Turn]]) -> dict[str, Any]:
    """`<name>_us_per_echo` and so on, flat, of all contenders."""
    fields: dict[str, Any] = {}
    for name, taken in turns.items():
        for field, values, digits in (
            ("us_per_echo", [turn.us for turn in taken], 2),
            ("busy", [turn.busy for turn in taken], 3),
            ("kb_per_session", [turn.kilobytes for turn in taken[:1]], 0),
            ("lost", [turn.lost for turn in taken], 5),
            ("connected_p50_ms", [turn.report["connected_p50_ms"] or 0 for turn in taken], 2),
            ("connected_p99_ms", [turn.report["connected_p99_ms"] or 0 for turn in taken], 2),
            ("first_packet_p50_ms", [turn.report["first_packet_p50_ms"] or 0 for turn in taken], 2),
            ("first_packet_p99_ms", [turn.report["first_packet_p99_ms"] or 0 for turn in taken], 2),
            ("rtt_p50_ms", [turn.report["rtt_p50_ms"] or 0 for turn in taken], 2),
            ("rtt_p99_ms", [turn.report["rtt_p99_ms"] or 0 for turn in taken], 2),
        ):
            fields[f"{name}_{field}"] = round(statistics.median(values), digits)
        fields[f"{name}_failed"] = sum(turn.failed for turn in taken)
        if spots := [turn.amiss for turn in taken if turn.amiss is not None]:
            fields[f"{name}_spot_check"] = "failed" if any(spots) else "ok"
    return fields
