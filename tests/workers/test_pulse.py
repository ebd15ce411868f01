"""News at once, the rest when everybody speaks."""

from __future__ import annotations

from config.ids import WorkerName
from ipc.messages.lifecycle import Heartbeat, WorkerPhase
from ipc.messages.stats import ProcessUsage, SignalingStats
from workers.pulse import Pulse


def counted(answers: int, cpu: float) -> SignalingStats:
    return SignalingStats(
        WorkerName("signaling-0"), ProcessUsage(cpu, 1), 0, {"200": answers}, guarded=0
    )


def test_a_sign_is_given_if_it_is_another_one_or_when_all_do() -> None:
    pulse, one, two = Pulse(), Heartbeat(WorkerPhase.READY, 1), Heartbeat(WorkerPhase.READY, 2)
    given = [(one, False), (one, False), (two, False), (two, False), (two, True), (one, False)]
    assert [pulse.is_due(sign, for_all=now) for sign, now in given] == [1, 0, 1, 0, 1, 1]


def test_counters_are_published_if_anything_but_the_cost_of_counting_is_new() -> None:
    pulse = Pulse()
    assert pulse.is_worth(counted(1, 0.1), for_all=False)
    assert not pulse.is_worth(counted(1, 0.2), for_all=False)
    assert pulse.is_worth(counted(2, 0.3), for_all=False)
    assert pulse.is_worth(counted(2, 0.4), for_all=True)
    assert not pulse.is_worth(counted(2, 0.5), for_all=False)
