"""The circle of a slot's states, and what an address that nobody vouched for may be sent."""

from config.ids import ClusterId, Endpoint, Epoch, FlowKey, Route, TransceiverId, Transport
from workers.relay.core.flow import AMPLIFICATION, TRANSITIONS, FlowState, FlowStep, PendingFlow

KEY = FlowKey(Transport.UDP, Endpoint("192.0.2.1", 5000), Endpoint("198.51.100.1", 3478))
ROUTE = Route(ClusterId(0), TransceiverId(1), Epoch(1))


def test_every_state_is_reached_and_left_and_every_step_taken() -> None:
    assert {state for state, _ in TRANSITIONS} == set(FlowState) == set(TRANSITIONS.values())
    assert {step for _, step in TRANSITIONS} == set(FlowStep)


def test_no_way_leads_back_to_pending_but_through_rest() -> None:
    into_pending = {state for (state, _), to in TRANSITIONS.items() if to is FlowState.PENDING}
    into_free = {state for (state, _), to in TRANSITIONS.items() if to is FlowState.FREE}
    assert (into_pending, into_free) == ({FlowState.FREE}, {FlowState.RESTING})


def test_nothing_goes_out_before_something_came_in() -> None:
    flow = PendingFlow(KEY, 1, ROUTE, "ufrag", 5.0)
    assert flow.may_return(0)
    assert not flow.may_return(1)


def test_amplification_counts_all_that_went_out() -> None:
    flow = PendingFlow(KEY, 1, ROUTE, "ufrag", 5.0)
    flow.received = 100
    assert flow.may_return(100 * AMPLIFICATION)
    assert not flow.may_return(100 * AMPLIFICATION + 1)
    flow.returned = 250
    assert flow.may_return(50)
    assert not flow.may_return(51)
