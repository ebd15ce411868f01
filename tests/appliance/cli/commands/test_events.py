from __future__ import annotations

import re

from appliance.cli.commands.events import line_of_event
from ipc.messages.events import EventKind, OpsEvent


def test_a_line_an_event() -> None:
    event = OpsEvent(7, 1000.25, EventKind.SESSION, "closed", "transceiver-0", "rtc_0_x", "hangup")
    clock, rest = line_of_event(event).split("  ", 1)
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.250", clock)
    assert rest == "session    rtc_0_x  closed  hangup  (transceiver-0)"
    worker = OpsEvent(8, 1000.0, EventKind.WORKER, "ready", "relay-0")
    assert line_of_event(worker).endswith("worker     relay-0  ready")
    appliance = OpsEvent(9, 1000.0, EventKind.APPLIANCE, "ready")
    assert line_of_event(appliance).endswith("appliance  ready")
