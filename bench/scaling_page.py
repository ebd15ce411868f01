"""Writes what docs/scaling.md says of a core from the saved runs: `python -m bench.scaling_page`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bench.fleet import CHECKS, DOCS, GLOBAL_ADDED, PACKETS, capacity

HEADING: Final = "## A core"
PAGE: Final = DOCS / "scaling.md"


def _rough(value: float) -> str:
    """Three digits: no bench knows more."""
    return f"{float(f'{value:.3g}'):,.0f}"


def core_section(found: Mapping[str, float]) -> str:
    """What docs/scaling.md says of a core."""
    million, lasting = 1_000_000, 300
    relays = million / found["sessions_per_relay_core"]
    transceivers = million / found["sessions_per_transceiver_core"]
    set_up = million / lasting / found["new_sessions_per_core_second"]
    ingress = million / found["sessions_per_ingress_core"]
    clusters = 2 * (relays + transceivers + set_up) / 1600
    rows = (
        (
            "sessions per relay core",
            found["sessions_per_relay_core"],
            f"{PACKETS} datagrams a second of {found['relay_us']} µs, and {CHECKS} checks",
        ),
        (
            "sessions per core of a second relay, behind a Global Relay",
            found["sessions_per_ingress_core"],
            f"the same with {GLOBAL_ADDED} µs a datagram",
        ),
        (
            "sessions per transceiver core, audio passed through",
            found["sessions_per_transceiver_core"],
            f"{PACKETS // 2} echoed packets a second of {found['transceiver_us']} µs, at 300 calls",
        ),
        (
            "new sessions per core and second, everything included",
            found["new_sessions_per_core_second"],
            f"{found['set_up_ms']} ms each",
        ),
    )
    table = "".join(f"| {row} | {_rough(value)} | {source} |\n" for row, value, source in rows)
    return f"""\
{HEADING}

| figure | value | from |
|---|--:|---|
{table}
These are full cores; plan with half. A frame of 20 ms in each direction is counted, whether anybody \
speaks or not. Memory is no limit before CPU: 97 KB a session in the transceiver, 130 bytes a flow in a \
relay. PCM for a back end costs more than all of this: {found["pcm_sessions_per_core"]} sessions a core.

So a million sessions at once take about {_rough(relays)} relay cores and {_rough(transceivers)} \
transceiver cores, and, if each lasts five minutes, {_rough(set_up)} cores for their set-up; each doubled \
for headroom. In clusters of 100 hosts with 16 cores that is {clusters:.1f} clusters. Through Global \
Relays {_rough(ingress)} cores more.

"""


def rewrite(page: str, found: Mapping[str, float]) -> str:
    """docs/scaling.md with that section of these figures."""
    before, _, rest = page.partition(f"{HEADING}\n")
    _, mark, after = rest.partition("## The registry")
    return before + core_section(found) + mark + after


if __name__ == "__main__":
    PAGE.write_text(rewrite(PAGE.read_text(encoding="utf-8"), capacity()), encoding="utf-8")
