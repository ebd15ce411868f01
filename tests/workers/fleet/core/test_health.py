from __future__ import annotations

from workers.fleet.core.health import MOST, Health


def test_what_a_human_reads() -> None:
    health = Health(0.0, 0.0)
    assert health.text(2.0) == "away for 2 s: not tried yet"
    assert not health.failed("timeout", "no answer", 2.0)
    assert health.text(5.0) == "away for 5 s: timeout: no answer"
    assert health.succeeded(0.0004, 6.0)
    assert not health.succeeded(0.0004, 7.0)
    assert health.text(9.0) == "reached, 0.4 ms"
    assert health.failed("full", "", 10.0)
    assert health.text(11.0) == "away for 1 s: full"
    assert health.failures == {"timeout": 1, "full": 1}


def test_tries_become_fewer_and_do_not_come_all_at_once() -> None:
    for spread in (0.0, 1.0):
        health = Health(spread, 0.0)
        delays = []
        for n in range(20):
            health.failed("timeout", "", float(n))
            delays.append(health.delay)
        assert delays == sorted(delays)
        assert delays[0] == 0.5 * (0.75 + spread / 2)
        assert delays[-1] == MOST * (0.75 + spread / 2)
        health.succeeded(0.1, 30.0)
        health.failed("timeout", "", 31.0)
        assert health.delay == delays[0]
