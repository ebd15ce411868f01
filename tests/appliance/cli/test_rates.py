"""Rates of counters, whoever counts and however late the counters come."""

from __future__ import annotations

import pytest
from msgspec import structs

from appliance.cli.rates import MINUTE, Frame, Meter
from config.ids import SessionId
from ipc.messages.admin import StatusReply, WorkerStatus
from ipc.messages.sessions import SessionList, SessionSummary
from ipc.messages.stats import ProcessUsage, RelayStats, SignalingStats, TransceiverStats
from tests.appliance.cli.test_render import RELAY, SESSION, SIGNALING, STATUS, TRANSCEIVER

Stats = RelayStats | TransceiverStats | SignalingStats


def usage(cpu: float, at: float = 0.0) -> ProcessUsage:
    return ProcessUsage(cpu, 50 * 2**20, at)


def worker(stats: Stats | None, pid: int = 7, sessions: int = 3) -> WorkerStatus:
    name = "relay-0" if stats is None else stats.worker
    return WorkerStatus(name, "ready", pid, None, 0, 9.0, sessions, stats=stats)


def status(*workers: WorkerStatus) -> StatusReply:
    return structs.replace(STATUS, workers=workers)


def session(packets: int, lost: int, name: str = "rtc_0_a") -> SessionSummary:
    return structs.replace(SESSION, session=SessionId(name), packets_in=packets, lost=lost)


NOBODY = SessionList((), 0)


def look(meter: Meter, now: float, *workers: WorkerStatus, rows: SessionList = NOBODY) -> Frame:
    """Whatever the workers say, they have counted just now, unless they say when."""
    return meter.look(status(*(_stamped(each, now) for each in workers)), rows, 0.0)


def _stamped(worker: WorkerStatus, now: float) -> WorkerStatus:
    if worker.stats is None or worker.stats.usage.at:
        return worker
    usage = structs.replace(worker.stats.usage, at=now)
    return structs.replace(worker, stats=structs.replace(worker.stats, usage=usage))


def relay(cpu: float, received: int, returned: int, dropped: int, at: float = 0.0) -> RelayStats:
    return structs.replace(
        RELAY,
        usage=usage(cpu, at),
        received=received,
        returned=returned,
        dropped={"empty": dropped},
        refused={},
    )


def test_the_first_look_has_no_rates() -> None:
    frame = look(Meter(), 10.0, worker(relay(1.0, 100, 200, 1)))
    (rates,) = frame.workers
    assert (rates.cpu_percent, rates.packets_in, rates.drops) == (None, None, None)
    assert rates.memory_bytes == 50 * 2**20
    assert frame.totals.packets_history == ()


def test_the_second_has() -> None:
    meter = Meter()
    look(meter, 10.0, worker(relay(1.0, 100, 200, 1)))
    frame = look(meter, 12.0, worker(relay(1.5, 500, 400, 5)))
    (rates,) = frame.workers
    assert rates.cpu_percent == pytest.approx(25)
    assert (rates.packets_in, rates.packets_out, rates.drops) == (200, 100, 2)
    assert (frame.totals.packets_in, frame.totals.packets_out) == (200, 100)
    assert (frame.totals.cpu_percent, frame.totals.drops) == (25, 2)


def test_seconds_are_those_between_two_counts_not_between_two_looks() -> None:
    meter = Meter()
    look(meter, 10.0, worker(relay(0, 0, 0, 0, at=9.1)))
    late = look(meter, 11.0, worker(relay(0, 0, 0, 0, at=9.1)))
    assert late.workers[0].packets_in is None
    frame = look(meter, 12.0, worker(relay(0, 300, 0, 0, at=11.1)))
    assert frame.workers[0].packets_in == pytest.approx(150)


def test_who_has_not_counted_anew_keeps_its_rates_and_nothing_else() -> None:
    meter = Meter()
    look(meter, 10.0, worker(relay(0, 0, 0, 0, at=9.1)))
    counted = relay(0, 300, 0, 0, at=11.1)
    look(meter, 12.0, worker(counted))
    (rates,) = look(meter, 12.5, worker(counted, sessions=9)).workers
    assert rates.packets_in == pytest.approx(150)
    assert rates.sessions == 9
    assert rates.history == pytest.approx((150, 150))


def test_another_process_begins_anew() -> None:
    meter = Meter()
    look(meter, 10.0, worker(relay(5, 900, 0, 0)))
    frame = look(meter, 11.0, worker(relay(0, 10, 0, 0), pid=8))
    assert frame.workers[0].packets_in is None
    frame = look(meter, 12.0, worker(relay(0, 30, 0, 0), pid=8))
    assert frame.workers[0].packets_in == 20


def test_a_worker_without_counters_has_a_row() -> None:
    meter = Meter()
    for now in (1.0, 2.0):
        (rates,) = look(meter, now, worker(None)).workers
        assert (rates.name, rates.cpu_percent, rates.memory_bytes) == ("relay-0", None, None)


def test_loss_is_that_of_the_last_look_by_worker() -> None:
    meter = Meter()
    transceiver = worker(TRANSCEIVER, sessions=1)
    look(meter, 1.0, transceiver, rows=SessionList((session(1000, 500),), 1))
    later = worker(structs.replace(TRANSCEIVER, usage=usage(6.0)), sessions=1)
    rows = SessionList((session(1090, 510), session(5, 99, "rtc_0_new")), 2)
    frame = look(meter, 2.0, later, rows=rows)
    assert frame.workers[0].loss_percent == pytest.approx(10)
    assert frame.totals.loss_percent == pytest.approx(10)
    assert frame.totals.sessions == 1
    # What was only late is no longer missing.
    frame = look(meter, 3.0, later, rows=SessionList((session(1190, 505),), 1))
    assert frame.totals.loss_percent == 0


def test_all_roles_are_counted_and_only_relays_are_traffic() -> None:
    meter = Meter()
    look(meter, 1.0, worker(relay(0, 0, 0, 0)), worker(TRANSCEIVER), worker(SIGNALING))
    grown = structs.replace(TRANSCEIVER, records_in=1100, records_out=1200)
    answered = structs.replace(SIGNALING, responses={"201": 142})
    frame = look(meter, 2.0, worker(relay(0, 50, 60, 0)), worker(grown), worker(answered))
    found = {rates.name: (rates.packets_in, rates.packets_out) for rates in frame.workers}
    assert found == {
        "relay-0": (50, 60),
        "transceiver-0": (1000, 1000),
        "signaling-0": (100, 100),
    }
    assert frame.totals.packets_in == 50


def test_a_minute_is_remembered_and_who_is_gone_is_not() -> None:
    meter = Meter()
    for second in range(90):
        frame = look(meter, float(second), worker(relay(0, 10 * second, 0, 0)))
    assert len(frame.workers[0].history) == MINUTE
    assert len(frame.totals.packets_history) == MINUTE
    assert set(frame.totals.packets_history) == {10.0}
    assert look(meter, 90.0).workers == ()
    assert look(meter, 91.0, worker(relay(0, 9, 0, 0))).workers[0].history == ()
