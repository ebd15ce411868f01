from __future__ import annotations

import json

from appliance.cli.render import as_json
from appliance.cli.views.keys import keys_view
from ipc.messages.keys import KeysReply, KeyStatus
from tests.support.terminal import row_of, text_of

REPLY = KeysReply(
    (
        KeyStatus("0", "aa11", "/var/lib/tandem/ufrag.key", 90.0, False, ()),
        KeyStatus("1", "bb22", "/var/lib/tandem/ufrag.key.1", 5.0, True, ("transceiver-2",)),
        KeyStatus("z", "cc33", "", None, False, ("transceiver-0", "transceiver-1")),
    )
)


def test_one_key_a_row() -> None:
    text = text_of(keys_view(REPLY))
    assert row_of(text, "0 ") == "0 aa11 read only 1m30s - /var/lib/tandem/ufrag.key"
    assert row_of(text, "1 ") == "1 bb22 mints 5s transceiver-2 /var/lib/tandem/ufrag.key.1"
    assert row_of(text, "z ") == "z cc33 leaving - transceiver-0, transceiver-1 -"


def test_for_programs() -> None:
    assert json.loads(as_json(REPLY))["keys"][1]["mints"] is True
