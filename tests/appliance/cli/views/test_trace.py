from __future__ import annotations

import json

from appliance.cli.render import as_json
from appliance.cli.views.trace import trace_view
from config.ids import ClusterId, Epoch, Route, TransceiverId
from ipc.messages.details import SessionDetail
from ipc.messages.trace import TraceReply, Verdict
from tests.appliance.cli.test_render import SESSION
from tests.appliance.cli.views.test_flows import FLOW
from tests.support.terminal import row_of, text_of

ROUTE = Route(ClusterId(0), TransceiverId(1), Epoch(7))


def test_a_line_a_hop() -> None:
    reply = TraceReply(
        "192.0.2.9:5",
        "client",
        Verdict.LIVE,
        route=ROUTE,
        worker="transceiver-1",
        flows=(FLOW,),
        session=SessionDetail(SESSION, "echo"),
    )
    text = text_of(trace_view(reply))
    assert row_of(text, "client   1") == "client 192.0.2.9:5"
    assert row_of(text, "route ") == "route cluster 0, transceiver 1, boot 7"
    assert row_of(text, "worker ") == "worker transceiver-1"
    assert row_of(text, "session ") == "session rtc_0_abc, connected, 1m05s old"
    assert row_of(text, "verdict ") == "verdict live"
    assert "relay-0 assured" in " ".join(text.split())
    assert json.loads(as_json(reply))["verdict"] == "live"


def test_why_it_leads_nowhere() -> None:
    reply = TraceReply("x[y]", "ufrag", Verdict.STALE_EPOCH, "boot 6 is over", route=ROUTE)
    text = text_of(trace_view(reply))
    assert row_of(text, "ufrag ") == "ufrag x[y]"
    assert row_of(text, "verdict ") == "verdict stale epoch: boot 6 is over"
    assert "session" not in text
