"""The appliance itself, if it answers: is all of it there, and does it stay?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from appliance.doctor.finding import Finding, fail, ok, warn
from appliance.doctor.host import Host
from ipc.messages.stats import RelayStats

_FINE: Final = frozenset({"ready", "draining"})


def check(host: Host) -> Iterator[Finding]:
    """Its state, its workers, and what it says of itself."""
    status = host.status
    if status is None:
        yield warn(
            "service.running", "no appliance answers", "systemctl start tandem, or: tandem run"
        )
        return
    state = f"{status.state}, version {status.version}, process {status.pid}"
    yield (
        ok("service.running", state) if status.state == "ready" else warn("service.running", state)
    )
    down = [f"{w.name} is {w.state} ({w.note})" for w in status.workers if w.state not in _FINE]
    if down:
        yield fail("service.workers", "; ".join(down), "tandem workers, tandem logs")
    else:
        yield ok("service.workers", f"all {len(status.workers)} workers serve")
    restless = [
        f"{w.name} {w.restarts} times ({w.last_exit})" for w in status.workers if w.restarts
    ]
    if restless:
        yield warn(
            "service.restarts", f"restarted: {'; '.join(restless)}", "tandem logs --level error"
        )
    broken = [
        w.name for w in status.workers if isinstance(w.stats, RelayStats) and not w.stats.conserved
    ]
    if broken:
        yield fail(
            "service.counters", f"counters of {', '.join(broken)} do not add up", "report this"
        )
    for cluster, relays in status.others.items():
        if silent := [relay for relay, answers in relays.items() if not answers]:
            silence = fail if len(silent) == len(relays) else warn
            what = f"cluster {cluster}: no answer from {', '.join(silent)}, of {len(relays)} relays"
            yield silence("service.clusters", what, "there: cluster.ingress, cluster.global_relays")
        else:
            yield ok("service.clusters", f"cluster {cluster}: all {len(relays)} relays answer")
    for warning in status.warnings:
        yield warn("service.warning", warning)
