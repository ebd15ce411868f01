from __future__ import annotations

import json

from appliance.cli.render import as_json
from appliance.cli.views.places import places_view
from config.ids import ClusterId, Endpoint
from ipc.messages.places import PlaceList, PlaceRow
from tests.support.terminal import row_of, text_of

OWN = PlaceRow(
    "frankfurt",
    "00000000000000aa",
    own=True,
    cluster=ClusterId(9),
    state="ready",
    relays=2,
    addresses=(Endpoint("203.0.113.5", 3478), Endpoint("2001:db8::5", 3478)),
    location=(50.1, 8.7),
    countries=("DE", "AT"),
    health="well",
    rank=1,
    km=478.2,
)
SILENT = PlaceRow(
    "virginia",
    "00000000000000bb",
    cluster=ClusterId(7),
    state="cordoned",
    silence=75.0,
    fresh=False,
    sessions=12,
    max_sessions=500,
    relays=1,
    crowded=True,
    addresses=(Endpoint("198.51.100.7", 3478),),
    health="dead",
)
LISTED = PlaceRow("[oslo", listed=True, addresses=(Endpoint("192.0.2.8", 3478),), health="well")


def test_for_people() -> None:
    text = text_of(places_view(PlaceList((OWN, SILENT, LISTED), True)))
    assert row_of(text, "frankfurt") == (
        "frankfurt 1 well this host 9 ready - - 2 50.1, 8.7; DE AT 478 "
        "203.0.113.5:3478, [2001:db8::5]:3478"
    )
    assert row_of(text, "virginia") == (
        "virginia - dead 00000000000000bb 7 cordoned 1m15s 12/500 1, full - - 198.51.100.7:3478"
    )
    assert row_of(text, "[oslo") == "[oslo - well (the file) - - - - - - - 192.0.2.8:3478"
    assert text.count("\n") < 7


def test_what_is_not_known_of_answers_is_said() -> None:
    assert "no signaling worker" in text_of(places_view(PlaceList((SILENT,), False)))
    assert "relay.advertise" not in text_of(places_view(PlaceList((OWN,), True)))
    assert "fleet.site" in text_of(places_view(PlaceList((SILENT,), True)))


def test_for_programs() -> None:
    found = json.loads(as_json(PlaceList((OWN, LISTED), True)))
    assert found["ranked"] is True
    assert found["rows"][0]["addresses"] == ["203.0.113.5:3478", "[2001:db8::5]:3478"]
    assert found["rows"][0].keys() == found["rows"][1].keys()
