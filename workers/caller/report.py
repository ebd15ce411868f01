"""What a run of calls has shown, as a value, as JSON and as rows of a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from workers.caller.histogram import Histogram
from workers.transceiver.core.reports import Reported
from workers.transceiver.core.streams.interface import StreamStats

PHASES: Final = {
    "http": "offer to answer",
    "ice": "answer to first answered check",
    "dtls": "from there to connected",
    "connected": "these two together",
    "channel": "answer to data channel open",
    "first_packet": "first frame out and back",
    "setup": "offer to first frame back",
}
"""The parts of a set-up, in order, and what each spans."""
NOTES: Final = PHASES | {
    "round_trip": "a frame out and back",
    "message_round_trip": "a message out and back",
    "network_round_trip": "by RTCP, or the last check",
    "jitter": "of frames that came back",
    "jitter_up": "as the server reports it",
    "jitter_down": "of all that came",
}
"""What each row of the table is."""
PERCENTILES: Final = {"min": 0.0, "p50": 50.0, "p99": 99.0, "max": 100.0}


class CallReport(msgspec.Struct, frozen=True):
    """One call. Phases that were not reached are absent; `error` is empty if all went well."""

    error: str
    phases: dict[str, float]
    """Phase -> seconds."""
    sent: int = 0
    received: int = 0
    lost: int = 0
    duplicates: int = 0
    reordered: int = 0
    foreign: int = 0
    jitter: float = 0.0
    round_trips: Histogram | None = None
    drops: dict[str, int] = {}
    """By DropReason: datagrams this side did not accept."""
    network: float | None = None
    """Round trip without the echo's own time: by RTCP, else by the last ICE check; seconds."""
    up: Reported | None = None
    """What the server reported of what it got."""
    down: StreamStats | None = None
    """What we counted of what it sent."""
    messages_sent: int = 0
    messages_received: int = 0
    messages_astray: dict[str, int] = {}
    """Those that came back and should not have, by why; without those of which there were none."""
    message_round_trips: Histogram | None = None
    restarts: int = 0
    """ICE restarts that came to a new pair."""
    reconnects: int = 0
    """Connections made again in place of one that broke, over TCP."""


class Report:
    """Sums up calls as they end."""

    def __init__(self) -> None:
        self.sessions_ok = 0
        self.errors: Counter[str] = Counter()
        self.drops: Counter[str] = Counter()
        self.sent = self.received = self.lost = 0
        self.duplicates = self.reordered = self.foreign = 0
        self.phases = {phase: Histogram() for phase in PHASES}
        self.jitter = Histogram()
        self.round_trips = Histogram()
        self.messages_sent = self.messages_received = self.restarts = self.reconnects = 0
        self.message_round_trips = Histogram()
        self.network = Histogram()
        self.lost_up = self.lost_down = 0
        self.jitter_up, self.jitter_down = Histogram(), Histogram()

    @classmethod
    def of(cls, calls: Iterable[CallReport]) -> Report:
        """The sum of these calls."""
        report = cls()
        for call in calls:
            report.add(call)
        return report

    @property
    def sessions_failed(self) -> int:
        """Calls that did not go as they should."""
        return self.errors.total()

    def add(self, call: CallReport) -> None:
        """Count one more call."""
        if call.error:
            self.errors[call.error] += 1
        else:
            self.sessions_ok += 1
        for phase, seconds in call.phases.items():
            self.phases[phase].add(seconds)
        self.sent += call.sent
        self.received += call.received
        self.lost += call.lost
        self.duplicates += call.duplicates
        self.reordered += call.reordered
        self.foreign += call.foreign
        self.drops.update(call.drops)
        self.messages_sent += call.messages_sent
        self.messages_received += call.messages_received
        self.restarts += call.restarts
        self.reconnects += call.reconnects
        if call.message_round_trips is not None:
            self.message_round_trips.merge(call.message_round_trips)
        if call.received > 1:
            self.jitter.add(call.jitter)
        if call.round_trips is not None:
            self.round_trips.merge(call.round_trips)
        if call.network is not None:
            self.network.add(call.network)
        if call.up is not None:
            self.lost_up += call.up.lost
            self.jitter_up.add(call.up.jitter)
        if call.down is not None:
            self.lost_down += call.down.lost
            self.jitter_down.add(call.down.jitter)

    def fields(self) -> dict[str, Any]:
        """One flat object for `--json`; times in milliseconds, null where there is nothing."""
        return {
            "sessions_ok": self.sessions_ok,
            "sessions_failed": self.sessions_failed,
            "packets_sent": self.sent,
            "packets_received": self.received,
            "packets_lost": self.lost,
            "packets_duplicated": self.duplicates,
            "packets_reordered": self.reordered,
            "packets_foreign": self.foreign,
            "messages_sent": self.messages_sent,
            "messages_lost": self.messages_sent - self.messages_received,
            "ice_restarts": self.restarts,
            "tcp_reconnects": self.reconnects,
            **_spread("rtt", self.round_trips),
            **_spread("message_rtt", self.message_round_trips),
            **_spread("jitter", self.jitter),
            **_spread("network_rtt", self.network),
            "packets_lost_up": self.lost_up,
            "packets_lost_down": self.lost_down,
            **_spread("jitter_up", self.jitter_up),
            **_spread("jitter_down", self.jitter_down),
            **{
                name: value
                for phase, histogram in self.phases.items()
                for name, value in _spread(phase, histogram).items()
            },
            "errors": [{"error": e, "count": n} for e, n in self.errors.most_common()],
            "drops": dict(self.drops),
        }

    def warnings(self) -> list[str]:
        """What a reader of these figures should know first."""
        if self.foreign <= self.received:
            return []
        return [
            "what came back is not what was sent, as from a back end that decodes: heed up and down alone"
        ]

    def rows(self) -> list[tuple[str, tuple[str, ...]]]:
        """(name, (min, p50, p99, max)) in milliseconds, of all that was measured."""
        measured = [
            *self.phases.items(),
            ("round trip", self.round_trips),
            ("message round trip", self.message_round_trips),
            ("network round trip", self.network),
            ("jitter", self.jitter),
            ("jitter up", self.jitter_up),
            ("jitter down", self.jitter_down),
        ]
        return [
            (name.replace("_", " "), tuple(map(_shown, spread)))
            for name, histogram in measured
            if (spread := [ms for ms in _spread(name, histogram).values() if ms is not None])
        ]


def _shown(milliseconds: float) -> str:
    return f"{milliseconds:.2f}" if milliseconds < 1 else f"{milliseconds:.1f}"


def _spread(name: str, histogram: Histogram) -> dict[str, float | None]:
    spread = {}
    for label, percent in PERCENTILES.items():
        seconds = histogram.percentile(percent)
        if seconds is not None and label == "min":
            seconds = histogram.minimum
        spread[f"{name}_{label}_ms"] = None if seconds is None else round(seconds * 1000, 2)
    return spread
