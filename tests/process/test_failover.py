"""The host of a relay dies under live calls, and another one gets its address."""

from __future__ import annotations

import json
import signal
import time

import pytest

from bench.failover_figures import gap, lost
from bench.failover_net import possible
from bench.failover_stage import stage
from tests.support.redis_server import needs_redis

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not possible(), reason="needs root and iproute2 for network namespaces"),
]
CALLS = 6


@needs_redis
@pytest.mark.parametrize("alive", [True, False])
def test_calls_go_on_with_redis_from_the_cache_and_without_it_at_the_next_check(
    alive: bool,
) -> None:
    with stage(cache=True, redis=True) as scene:
        calls = scene.calls(CALLS, 120.0)
        fleet = scene.first.fleet
        scene.until("flows", lambda: (seen := fleet()) and seen.cache.get("written", 0) >= CALLS)
        if not alive:
            scene.redis.kill()
            scene.until("no redis", lambda: (seen := fleet()) and seen.redis.startswith("away"))
        since = scene.fail_over()
        time.sleep(5.0)
        until = time.monotonic()
        calls.send_signal(signal.SIGINT)
        arrivals = json.loads(calls.communicate()[0])["arrivals"]
        relay = scene.second.relay()
    assert lost(arrivals, until) == 0
    assert relay is not None
    assert relay.conserved
    assert relay.cache["found"] == (CALLS if alive else 0)
    recovered = [gap(times, since, until) for times in arrivals]
    assert max(recovered) < 4.0  # a check is never further away; the bench has the figures
