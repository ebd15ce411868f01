from __future__ import annotations

from msgspec import structs

from appliance.cli.views.workers import workers_view
from ipc.messages.admin import SpareStatus
from tests.appliance.cli.test_render import STATUS
from tests.support.terminal import row_of, text_of


def test_every_process_has_a_row_and_what_is_said_of_it() -> None:
    relay, *others = STATUS.workers
    assert relay.stats is not None
    usage = structs.replace(
        relay.stats.usage, lost={"request_overloaded": 3, "reply_undelivered": 1}
    )
    stats = structs.replace(relay.stats, usage=usage)
    relay = structs.replace(
        relay, generation=4711, restarts=2, last_exit="killed by signal 9", stats=stats
    )
    spares = (SpareStatus("relay", 7, True), SpareStatus("signaling", 8, False))
    status = structs.replace(STATUS, workers=(relay, *others), spares=spares)
    text = text_of(workers_view(status))
    assert row_of(text, "relay-0 ") == (
        "relay-0 ready 1 0 4711 1m40s 50 MB 5s 2 killed by signal 9"
    )
    assert row_of(text, "relay-1 ") == "relay-1 back-off - 1 - 0s - - 0 -"
    assert row_of(text, "spare relay") == "spare relay waiting 7 - - - - - - -"
    assert row_of(text, "spare signaling") == "spare signaling starting 8 - - - - - - -"
    assert "relay-0: python [no native one built]\n" in text
    assert "relay-0: lost messages: 3 request_overloaded, 1 reply_undelivered\n" in text
