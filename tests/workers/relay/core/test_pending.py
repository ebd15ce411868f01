"""Pending flows die on time, live on with each check, and are found by what they are asked for."""

from config.ids import ClusterId, Endpoint, Epoch, FlowKey, Route, TransceiverId, Transport
from workers.relay.core.pending import LIFE, PendingFlows

KEY = FlowKey(Transport.UDP, Endpoint("192.0.2.1", 5000), Endpoint("198.51.100.1", 3478))
OTHER = KEY._replace(client=Endpoint("192.0.2.2", 5000))


def route(number: int) -> Route:
    return Route(ClusterId(0), TransceiverId(number), Epoch(1))


def test_expires_after_its_life() -> None:
    pending = PendingFlows()
    flow = pending.add(KEY, 1, route(1), "u", 100.0)
    assert pending.next_timeout() == 100.0 + LIFE
    assert list(pending.expired(100.0 + LIFE - 0.001)) == []
    assert list(pending.expired(100.0 + LIFE)) == [flow]
    assert (len(pending), pending.next_timeout(), pending.of_key(KEY)) == (0, None, ())


def test_a_prolonged_one_outlives_its_queue_place() -> None:
    pending = PendingFlows()
    flow = pending.add(KEY, 1, route(1), "u", 0.0)
    flow.expires = 8.0
    assert list(pending.expired(5.0)) == []
    assert pending.with_label(1) is flow
    assert list(pending.expired(8.0)) == [flow]


def test_a_removed_one_does_not_expire() -> None:
    pending = PendingFlows()
    pending.remove(pending.add(KEY, 1, route(1), "u", 0.0))
    assert list(pending.expired(100.0)) == []


def test_a_reused_label_does_not_expire_early() -> None:
    pending = PendingFlows()
    pending.remove(pending.add(KEY, 1, route(1), "u", 0.0))
    pending.add(KEY, 1, route(1), "u", 4.0)
    assert list(pending.expired(5.0)) == []


def test_found_by_key_and_by_route() -> None:
    pending = PendingFlows()
    one, two = pending.add(KEY, 1, route(1), "u", 0.0), pending.add(KEY, 2, route(2), "u", 0.0)
    three = pending.add(OTHER, 3, route(1), "u", 0.0)
    assert pending.of_key(KEY) == (one, two)
    assert pending.of_route(route(1)) == [one, three]
