"""The published vectors (docs/wire-vectors.json) are what the code speaks, both ways."""

import json
from pathlib import Path
from typing import Any

import pytest

from config.ids import ClusterId, Endpoint, Epoch, FlowKey, Route, TransceiverId, Transport
from workers.wire import link
from workers.wire.types import Malformed
from workers.wire.ufrag import UfragKeys

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[3] / "docs" / "wire-vectors.json").read_text()
)


@pytest.mark.parametrize("vector", VECTORS["ufrag"], ids=lambda v: v["ufrag"])
def test_ufrag_vectors(vector: dict[str, Any]) -> None:
    keys = UfragKeys({vector["key_id"]: bytes.fromhex(vector["key"])}, vector["key_id"])
    route = Route(
        ClusterId(vector["cluster"]), TransceiverId(vector["transceiver"]), Epoch(vector["epoch"])
    )
    assert keys.mint(route, bytes.fromhex(vector["nonce"])) == vector["ufrag"]
    assert keys.decode(vector["ufrag"]) == route


@pytest.mark.parametrize("case", VECTORS["ufrag_refused"]["cases"], ids=lambda c: c["ufrag"])
def test_refused_ufrag_vectors(case: dict[str, str]) -> None:
    keys = {name: bytes.fromhex(key) for name, key in VECTORS["ufrag_refused"]["key_ids"].items()}
    with pytest.raises(Malformed) as caught:
        UfragKeys(keys, "0").decode(case["ufrag"])
    assert caught.value.reason.value == case["reason"]


@pytest.mark.parametrize("vector", VECTORS["link"], ids=lambda v: v["what"])
def test_link_vectors(vector: dict[str, Any]) -> None:
    label = link.make_label(vector["slot"], vector["generation"])
    payload = bytes.fromhex(vector["payload"])
    type_ = link.RecordType[vector["type"]]
    wire = bytes.fromhex(vector["record"])
    assert link.encode_record(type_, vector["flags"], label, payload) == wire
    if type_ > link.RecordType.UNKNOWN:  # between relays
        if type_ is link.RecordType.ROUTED:
            route = Route(*vector["route"])
            key = FlowKey(
                Transport.UDP, Endpoint.parse(vector["client"]), Endpoint.parse(vector["local"])
            )
            said, named, rest = link.parse_routed(payload)
            assert (said, named, rest.hex()) == (route, key, vector["datagram"])
            assert link.encode_routed(route, key, bytes(rest)) == payload
        return
    (record,) = link.parse_records(wire)
    assert (record.type, record.flags, record.label) == (type_, vector["flags"], label)
    assert link.split_label(record.label) == (vector["slot"], vector["generation"])
    if type_ is link.RecordType.INTRO:
        key = FlowKey(
            Transport.UDP, Endpoint.parse(vector["client"]), Endpoint.parse(vector["local"])
        )
        found, datagram = link.parse_intro(record.payload)
        assert (found, bytes(datagram)) == (key, bytes.fromhex(vector["datagram"]))
        assert link.encode_intro(key, bytes.fromhex(vector["datagram"])) == payload
