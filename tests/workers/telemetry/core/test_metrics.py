"""Every number that a worker publishes is in the metrics, and they add up there, too."""

from __future__ import annotations

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from appliance.supervisor.core.health import ApplianceState
from appliance.supervisor.core.lifecycle import WorkerState
from ipc.messages.admin import StatusReply
from ipc.messages.stats import ProcessUsage, RealtimeStats
from tests.support.statuses import every_role, quality_of, row, status_of, transceiver, used
from workers.telemetry.core.catalogue import METRICS
from workers.telemetry.core.metrics import (
    APPLIANCE_STATES,
    MAX_VALUES,
    WORKER_STATES,
    exposition,
)
from workers.wire.types import DropReason

Samples = dict[str, list[tuple[dict[str, str], float]]]


def scrape(status: StatusReply | None) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(exposition(status).encode().decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def value(samples: Samples, name: str, **labels: str) -> float:
    (found,) = [v for ls, v in samples[name] if labels.items() <= ls.items()]
    return found


def test_every_metric_that_is_declared_is_there() -> None:
    found = scrape(every_role())
    assert {name for metric in METRICS for name in metric.series()} == set(found)


def numbers_in(value: object) -> set[float]:
    match value:
        case bool():
            return set()
        case int() | float():
            return {float(value)}
        case ProcessUsage():
            return {value.cpu_seconds, float(value.rss_bytes), *map(float, value.lost.values())}
        case msgspec.Struct():
            return {n for f in value.__struct_fields__ for n in numbers_in(getattr(value, f))}
        case dict():
            return {n for inner in value.values() for n in numbers_in(inner)}
        case tuple():
            return set()  # buckets: see below
        case _:
            return set()


def test_no_number_is_left_out() -> None:
    """Every field of all statistics gets a value of its own, and each is found again."""
    counter = iter(range(1000, 100_000))

    def marked(value: object) -> object:
        match value:
            case bool() | str():
                return value
            case int():
                return next(counter)
            case float():
                return float(next(counter))
            case dict():
                return {key: marked(inner) for key, inner in value.items()}
            case msgspec.Struct():
                fields = {f: marked(getattr(value, f)) for f in value.__struct_fields__}
                return type(value)(**fields)
            case _:
                return value

    status = every_role()
    rows = tuple(msgspec.structs.replace(w, stats=marked(w.stats)) for w in status.workers)
    status = msgspec.structs.replace(status, workers=rows)
    told = {v for samples in scrape(status).values() for _, v in samples}
    wanted = {n for worker in status.workers for n in numbers_in(worker.stats)}
    assert len(wanted) > 50
    assert wanted <= told


def test_what_relays_receive_is_accounted_for() -> None:
    found = scrape(every_role())
    dropped = sum(v for _, v in found["tandem_relay_dropped_datagrams_total"])
    assert dropped == 4
    for transport, drops in (("udp", dropped), ("tcp", 0)):
        received, forwarded, upcalled = (
            value(found, f"tandem_relay_{what}_datagrams_total", transport=transport)
            for what in ("received", "forwarded", "upcalled")
        )
        assert received == forwarded + upcalled + drops
    ended = value(found, "tandem_relay_tcp_ended_total", reason="left")
    still = value(found, "tandem_relay_tcp_connections")
    came = ("tandem_relay_tcp_accepted_total", "tandem_relay_tcp_taken_total")
    assert sum(value(found, name) for name in came) == ended + still


def test_reasons_that_never_happened_are_there_at_zero() -> None:
    """Or else `increase()` would not see the first."""
    found = scrape(every_role())
    reasons = {labels["reason"] for labels, _ in found["tandem_relay_dropped_datagrams_total"]}
    assert reasons == {reason.value for reason in DropReason}
    assert value(found, "tandem_sessions_closed_total", reason="internal_error") == 0


def test_states_are_the_supervisors() -> None:
    assert set(APPLIANCE_STATES) == {state.value for state in ApplianceState}
    assert set(WORKER_STATES) == {state.value for state in WorkerState}
    found = scrape(every_role())
    assert value(found, "tandem_state", state="ready") == 1
    assert sum(v for _, v in found["tandem_state"]) == 1
    assert sum(v for _, v in found["tandem_worker_state"]) == 6


def test_buckets_are_cumulative() -> None:
    quality = quality_of((1, 0, 5), total=0.2)
    found = scrape(status_of(row(transceiver(1.0, quality=quality))))
    name = "tandem_session_round_trip_seconds"
    assert [v for _, v in found[f"{name}_bucket"]][:4] == [1, 1, 6, 6]
    assert value(found, f"{name}_count") == 6
    assert value(found, f"{name}_sum") == 0.2


def test_the_python_datapath_is_told_from_the_native_one() -> None:
    python = row(transceiver(1.0), note="python (no native one built)")
    assert value(scrape(status_of(python)), "tandem_worker_native") == 0
    assert value(scrape(every_role()), "tandem_worker_native", role="relay") == 1


def test_without_a_supervisor_nothing_stale_is_said() -> None:
    assert scrape(None) == {"tandem_supervisor_up": [({}, 0.0)]}


def test_a_label_that_runs_wild_is_cut_and_nothing_lost() -> None:
    wild = {f"code-{n}": 1 for n in range(1000)}
    stats = RealtimeStats(every_role().workers[3].stats.worker, used(1.0), 0, 0, wild, {})  # type: ignore[union-attr]
    found = scrape(status_of(row(stats)))["tandem_realtime_failed_calls_total"]
    assert len(found) == MAX_VALUES + 1
    assert sum(v for _, v in found) == 1000
