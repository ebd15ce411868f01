"""Strangers get flows within bounds; checks keep half of them, whatever pretends to be known."""

from __future__ import annotations

import pytest

from config.ids import ClusterId, Endpoint, Epoch, FlowKey, Route, TransceiverId, Transport
from workers.relay.core.classify import Check
from workers.relay.core.flow import PendingFlow
from workers.relay.core.flowtable import FlowTable, SlotMemory
from workers.relay.core.interface import Upcall
from workers.relay.core.limits import NEW_PER_UFRAG, PER_UFRAG
from workers.relay.core.pending import MAX_ROUTES_PER_KEY, PendingFlows
from workers.relay.core.strangers import Strangers
from workers.wire.types import DropReason

HERE = Endpoint("198.51.100.1", 3478)


def route(number: int) -> Route:
    return Route(ClusterId(0), TransceiverId(number), Epoch(1))


def sent(port: int) -> Upcall:
    return Upcall(FlowKey(Transport.UDP, Endpoint("192.0.2.1", port), HERE), b"", None)


@pytest.fixture
def pending() -> PendingFlows:
    return PendingFlows()


def strangers(pending: PendingFlows, most: int = 100, slots: int = 1000) -> Strangers:
    return Strangers(FlowTable(SlotMemory.fresh(slots, bytes), 0.0), pending, most)


def test_checks_of_a_client_share_a_flow_for_each_route(pending: PendingFlows) -> None:
    all_of_them = strangers(pending)
    first = all_of_them.admit(sent(1), Check(route(1), "u"), 0.0)
    assert isinstance(first, PendingFlow)
    assert all_of_them.admit(sent(1), Check(route(1), "u"), 0.1) is first
    for number in range(2, MAX_ROUTES_PER_KEY + 1):
        all_of_them.admit(sent(1), Check(route(number), f"u{number}"), 0.1)
    last = all_of_them.admit(sent(1), Check(route(99), "v"), 0.1)
    assert last is DropReason.PENDING_FULL
    assert len(pending) == MAX_ROUTES_PER_KEY


def test_a_ufrag_makes_few_flows_and_no_flood_of_introductions(pending: PendingFlows) -> None:
    all_of_them = strangers(pending)
    made = [
        all_of_them.admit(sent(port), Check(route(1), "u"), 0.0)
        for port in range(1, NEW_PER_UFRAG + 2)
    ]
    assert made[-1] is DropReason.UFRAG_LIMIT
    assert len(pending) == NEW_PER_UFRAG
    flow = made[0]
    assert isinstance(flow, PendingFlow)
    left = PER_UFRAG - len(made)
    assert [all_of_them.refuse(sent(1), flow, 0.0) for _ in range(left)] == [None] * left
    assert all_of_them.refuse(sent(1), flow, 0.0) is DropReason.UFRAG_LIMIT
    assert all_of_them.refuse(sent(1), flow, 1.0) is None


def test_what_is_recovered_leaves_half_to_checks(pending: PendingFlows) -> None:
    all_of_them = strangers(pending, most=4)
    flow = all_of_them.recover(sent(1), route(1), 0.0)
    assert isinstance(flow, PendingFlow)
    assert flow.recovered
    assert all_of_them.recover(sent(1), route(1), 0.0) is flow
    assert isinstance(all_of_them.recover(sent(2), route(1), 0.0), PendingFlow)
    assert all_of_them.recover(sent(3), route(1), 0.0) is DropReason.PENDING_FULL
    assert isinstance(all_of_them.admit(sent(3), Check(route(1), "u"), 0.0), PendingFlow)
    assert isinstance(all_of_them.admit(sent(4), Check(route(1), "v"), 0.0), PendingFlow)
    assert all_of_them.admit(sent(5), Check(route(1), "w"), 0.0) is DropReason.PENDING_FULL


def test_without_a_slot_there_is_no_flow(pending: PendingFlows) -> None:
    all_of_them = strangers(pending, slots=1)
    assert isinstance(all_of_them.admit(sent(1), Check(route(1), "u"), 0.0), PendingFlow)
    assert all_of_them.admit(sent(2), Check(route(1), "v"), 0.0) is DropReason.SLOTS_FULL
    assert all_of_them.recover(sent(3), route(1), 0.0) is DropReason.SLOTS_FULL
