from __future__ import annotations

import json

from appliance.cli.render import as_json
from appliance.cli.views.flows import flows_view
from config.ids import ClusterId, Endpoint, Epoch, Route, TransceiverId
from ipc.messages.flows import FlowList, FlowSummary
from tests.support.terminal import row_of, text_of

FLOW = FlowSummary(
    client=Endpoint("2001:db8::9", 5),
    local=Endpoint("2001:db8::1", 3478),
    label=0x2A05,
    route=Route(ClusterId(0), TransceiverId(1), Epoch(7)),
    state="assured",
    silence=0.51,
    link=Endpoint("127.0.0.1", 9),
    worker="relay-0",
)


def test_for_people() -> None:
    text = text_of(flows_view(FlowList((FLOW,), 1)))
    assert row_of(text, "[2001") == (
        "[2001:db8::9]:5 [2001:db8::1]:3478 relay-0 assured 42.5 0/1/7 0.5 s"
    )
    assert "shown" not in text


def test_flows_that_are_not_shown_are_counted() -> None:
    assert "1 of 90 flows shown" in text_of(flows_view(FlowList((FLOW,), 90)))
    assert text_of(flows_view(FlowList((), 0))).strip() == "no flows"


def test_for_programs() -> None:
    (row,) = json.loads(as_json(FlowList((FLOW,), 1)))["rows"]
    assert row["client"] == "[2001:db8::9]:5"
    assert row["route"] == {"cluster": 0, "transceiver": 1, "epoch": 7}
