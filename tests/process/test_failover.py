"""The host of a relay dies under live calls, and another one gets its address."""

from __future__ import annotations

import json
import signal

import pytest

from bench.failover_browser import browser_call
from bench.failover_net import possible
from bench.failover_stage import stage
from tests.support.redis_server import needs_redis

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not possible(), reason="needs root and iproute2 for network namespaces"),
]
CALLS = 6
FLOWS = 60


@needs_redis
def test_the_call_of_a_browser_goes_on_from_the_cache() -> None:
    with stage(cache=True, redis=True) as scene, browser_call(scene) as arrivals:
        fleet = scene.first.fleet
        scene.until("a flow", lambda: (seen := fleet()) and seen.cache.get("written", 0))
        since = scene.fail_over()
        scene.until("an echo", lambda: sum(at > since for at in arrivals()) > 100)
        relay = scene.second.relay()
    assert relay is not None
    assert relay.conserved
    assert not relay.cache["missed"]  # unless a check came first (one time in 125), it was found


@needs_redis
def test_flows_of_the_bench_are_what_a_relay_sees_of_calls() -> None:
    with stage(cache=True, redis=True, echo=True) as scene:
        flows = scene.flows([(2.5, 2.5)] * FLOWS, 20.0)
        fleet = scene.first.fleet
        scene.until("flows", lambda: (seen := fleet()) and seen.cache.get("written", 0) >= FLOWS)
        since = scene.fail_over()
        relay = scene.second.relay
        scene.until("recoveries", lambda: (seen := relay()) and seen.flows == FLOWS)
        scene.until("media", lambda: (seen := relay()) and seen.forwarded > 10 * FLOWS)
        flows.send_signal(signal.SIGINT)
        arrivals = json.loads(flows.communicate()[0])["arrivals"]
    assert len(arrivals) == FLOWS
    assert all(any(time > since for time in times) for times in arrivals)


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
        relay = scene.second.relay
        scene.until("recoveries", lambda: (seen := relay()) and seen.flows == CALLS)
        before = relay()
        assert before is not None
        more = before.returned + 100 * CALLS
        scene.until("echoes", lambda: (seen := relay()) and seen.returned > more)
        calls.send_signal(signal.SIGINT)
        report = json.loads(calls.communicate()[0])
        stats = relay()
    assert report["sessions_failed"] == 0, report["errors"]
    assert all(any(time > since for time in times) for times in report["arrivals"])
    assert stats is not None
    assert stats.conserved
    # One call in 125 sends a check before its next packet, and needs no cache.
    assert not stats.cache["missed"]
    assert bool(stats.cache["found"]) is alive
