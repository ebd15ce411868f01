"""Whose a route is, and why nobody's; what a piece of text may mean."""

from __future__ import annotations

import pytest

from appliance.supervisor.core.lifecycle import WorkerState
from appliance.supervisor.core.tracing import (
    Kind,
    Subject,
    best,
    judge,
    owners,
    read_subject,
    relays,
)
from appliance.supervisor.core.worker import Place
from config.ids import ClusterId, Endpoint, Epoch, Role, Route, TransceiverId, WorkerName
from ipc.messages.flows import FlowSummary
from ipc.messages.trace import Verdict

HERE = ClusterId(3)
UFRAG = "0fzLrmXbQJmVZ3vTn1aWkP2"


def route(transceiver: int = 0, epoch: int = 7, cluster: int = 3) -> Route:
    return Route(ClusterId(cluster), TransceiverId(transceiver), Epoch(epoch))


R0 = Place(WorkerName("relay-0"), Role.RELAY, WorkerState.READY, rpc="ipc:///r0")
T0 = Place(
    WorkerName("transceiver-0"), Role.TRANSCEIVER, WorkerState.READY, route(), rpc="ipc:///t0"
)
T1 = Place(WorkerName("transceiver-1"), Role.TRANSCEIVER, WorkerState.BACKOFF)
PLACES = (R0, T0, T1)


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        (f"rtc_3_{UFRAG}", Subject(Kind.SESSION, UFRAG)),
        (UFRAG, Subject(Kind.UFRAG, UFRAG)),
        (f" {UFRAG}:theirs ", Subject(Kind.UFRAG, UFRAG)),
        ("ab+/", Subject(Kind.UFRAG, "ab+/")),
        ("192.0.2.1:5", Subject(Kind.CLIENT, client=Endpoint("192.0.2.1", 5))),
        ("[2001:DB8::1]:5", Subject(Kind.CLIENT, client=Endpoint("2001:db8::1", 5))),
        ("192.0.2.1", None),
        ("rtc_3_", None),
        ("what is this", None),
        ("", None),
        ("x" * 300, None),
    ],
)
def test_what_a_text_may_mean(text: str, subject: Subject | None) -> None:
    assert read_subject(text) == subject


def test_a_route_that_is_live_has_an_owner() -> None:
    assert judge(route(), HERE, PLACES) == (T0, Verdict.LIVE, "")


@pytest.mark.parametrize(
    ("where", "verdict", "why"),
    [
        (route(cluster=4), Verdict.OTHER_CLUSTER, "made in cluster 4, and this is cluster 3"),
        (route(5), Verdict.NO_TRANSCEIVER, "transceiver-0 (0), transceiver-1 (back-off)"),
        (route(epoch=6), Verdict.STALE_EPOCH, "boot 6 of that transceiver is over"),
        (route(epoch=6), Verdict.STALE_EPOCH, "transceiver-0 is boot 7"),
    ],
)
def test_why_a_route_is_nobodys(where: Route, verdict: Verdict, why: str) -> None:
    found = judge(where, HERE, PLACES)
    assert (found.owner, found.verdict) == (None, verdict)
    assert why in found.why


def test_an_owner_that_does_not_serve_yet() -> None:
    starting = T0._replace(state=WorkerState.STARTING, rpc="")
    found = judge(route(), HERE, [starting])
    assert (found.owner, found.verdict) == (starting, Verdict.NO_ANSWER)
    assert "is starting" in found.why


def test_who_can_be_asked() -> None:
    assert relays(PLACES) == [R0]
    assert owners(PLACES) == [T0]


def test_the_flow_that_is_likeliest_in_use() -> None:
    def flow(label: int, state: str, silence: float) -> FlowSummary:
        here = Endpoint("192.0.2.1", 1)
        return FlowSummary(here, here, label, route(), state, silence)

    flows = [flow(1, "pending", 0.0), flow(2, "assured", 9.0), flow(3, "assured", 1.0)]
    assert best(flows) == flows[2]
    assert best(flows[:1]) == flows[0]
    assert best([]) is None
