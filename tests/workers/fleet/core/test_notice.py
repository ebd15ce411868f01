"""What another host says is taken whole or not at all."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.ids import ClusterId, Endpoint, Epoch, HostId, Route, TransceiverId
from config.places import MOST_COUNTRIES, MOST_NAME
from ipc.messages.fleet import FleetDoor, FleetHost, FleetPlace, FleetTransceiver
from workers.fleet.core.notice import (
    MAX_NOTICE,
    MOST_CLUSTERS,
    MOST_WORKERS,
    Beat,
    Unbelievable,
    encode_beat,
    encode_host,
    encode_notice,
    parse_host,
    parse_notice,
)

NAME = HostId("0123456789abcdef")
numbers = st.integers(0, 65535)
endpoints = st.builds(
    Endpoint,
    st.ip_addresses()
    .filter(lambda a: not (a.is_unspecified or a.is_multicast))
    .map(str)
    .filter(lambda text: "." not in text or ":" not in text),
    st.integers(1, 65535),
)
beats = st.builds(Beat, st.just(NAME), *(st.integers(0, 2**63 - 1) for _ in range(4)))


@st.composite
def hosts(draw: st.DrawFn) -> FleetHost:
    cluster = ClusterId(draw(numbers))
    return FleetHost(
        NAME,
        cluster,
        draw(st.sampled_from(["starting", "ready", "degraded", "draining"])),
        tuple(draw(st.lists(endpoints, max_size=4))),
        tuple(draw(st.lists(endpoints, max_size=4))),
        tuple(
            FleetTransceiver(
                Route(cluster, TransceiverId(draw(numbers)), Epoch(draw(numbers))),
                draw(endpoints),
                draw(st.booleans()),
            )
            for _ in range(draw(st.integers(0, 3)))
        ),
        max_sessions=draw(st.integers(0, 2**31 - 1)),
        door=draw(
            st.none()
            | st.builds(
                FleetDoor, endpoints, st.just("k" * 40), st.integers(0, 2**63 - 1), st.booleans()
            )
        ),
        crowded=draw(st.booleans()),
        place=draw(
            st.builds(
                FleetPlace,
                st.text("abc é-", max_size=64),
                st.just(()) | st.tuples(st.floats(-90, 90), st.floats(-180, 180)),
                st.lists(st.sampled_from(["DE", "US"]), max_size=3).map(tuple),
            )
        ),
        ingress=draw(st.none() | endpoints),
        forwards=tuple(draw(st.lists(numbers.map(ClusterId), max_size=3))),
    )


@given(beats, hosts())
def test_what_is_said_arrives(beat: Beat, host: FleetHost) -> None:
    assert parse_notice(encode_beat(beat)) == (beat, None)
    assert parse_notice(encode_notice(beat, host)) == (beat, host)
    assert parse_host(NAME, encode_host(host)) == host


@given(st.binary(max_size=200))
def test_nonsense_is_counted_and_nothing_else(data: bytes) -> None:
    for parse in (parse_notice, lambda data: parse_host(NAME, data)):
        try:
            parse(data)
        except Unbelievable as why:
            assert str(why)


@given(beats, hosts(), st.data())
def test_damage_is_no_crash(beat: Beat, host: FleetHost, data: st.DataObject) -> None:
    notice = bytearray(encode_notice(beat, host))
    for _ in range(data.draw(st.integers(1, 3))):
        notice[data.draw(st.integers(0, len(notice) - 1))] = data.draw(st.integers(0, 255))
    try:
        parse_notice(bytes(notice))
    except Unbelievable as why:
        assert str(why)


def raw(*values: object) -> bytes:
    return msgspec.msgpack.encode(values)


def what(**changed: object) -> bytes:
    fields = {
        "cluster": 1,
        "state": "ready",
        "advertise": [],
        "relays": [],
        "transceivers": [],
        "most": 1,
        "door": None,
        "crowded": False,
        "place": ["", [], []],
        "ingress": None,
        "forwards": [],
    }
    return msgspec.msgpack.encode(list((fields | changed).values()))


@pytest.mark.parametrize(
    "data",
    [
        what(cluster=65536),
        what(cluster=-1),
        what(state="excellent"),
        what(relays=[["localhost", 1]]),
        what(relays=[["10.0.0.1", 0]]),
        what(relays=[["10.0.0.1", 65536]]),
        what(relays=[["0.0.0.0", 1]]),
        what(relays=[["224.0.0.1", 1]]),
        what(relays=[["::0001", 1]]),
        what(advertise=[["10.0.0.1", 1]] * 65),
        what(transceivers=[[65536, 1, ["10.0.0.1", 1], True]]),
        what(transceivers=[[1, 1, ["10.0.0.1", 1], True]] * (MOST_WORKERS + 1)),
        what(most=-1),
        what(door=[["10.0.0.1", 0], "k" * 40]),
        what(door=[["10.0.0.1", 1], "k" * 39]),
        what(door=[["10.0.0.1", 1], "k" * 40, -1]),
        what(door=[["10.0.0.1", 1], "k" * 40, 1, "open"]),
        what(door=[["10.0.0.1", 1], "k" * 39 + " "]),
        what(place=["x" * (MOST_NAME + 1), [], []]),
        what(place=["new\nline", [], []]),
        what(place=["", [1.0], []]),
        what(place=["", [91.0, 0.0], []]),
        what(place=["", [0.0, -181.0], []]),
        what(place=["", [math.nan, 0.0], []]),
        what(place=["", [0.0, math.inf], []]),
        what(place=["", [], ["Germany"]]),
        what(place=["", [], ["DE"] * (MOST_COUNTRIES + 1)]),
        what(ingress=["ingress.example", 1]),
        what(ingress=["10.0.0.1", 0]),
        what(forwards=[65536]),
        what(forwards=[1] * (MOST_CLUSTERS + 1)),
        b"\xc0" * (MAX_NOTICE + 1),
    ],
)
def test_a_host_that_cannot_be(data: bytes) -> None:
    with pytest.raises(Unbelievable):
        parse_host(NAME, data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (raw(2, NAME, 1, 1, 1, 1), "other_format"),
        (raw(1, "short", 1, 1, 1, 1), "malformed"),
        (raw(1, "0123456789ABCDEF", 1, 1, 1, 1), "malformed"),
        (raw(1, NAME, -1, 1, 1, 1), "malformed"),
        (raw(1, NAME, 1, 1, 1, 2**63), "malformed"),
        (raw(1, NAME, 1, 1, 1, 1, "what"), "malformed"),
        (b"\x91" * 5000, "malformed"),
        (b"x" * (MAX_NOTICE + 1), "oversize"),
    ],
)
def test_a_notice_that_is_none(data: bytes, why: str) -> None:
    with pytest.raises(Unbelievable, match=why):
        parse_notice(data)


def test_a_host_of_an_earlier_version_is_one_without_a_place() -> None:
    earlier = msgspec.msgpack.encode(msgspec.msgpack.decode(what())[:7])
    host = parse_host(NAME, earlier)
    assert (host.place, host.ingress, host.forwards) == (FleetPlace(), None, ())


def test_fields_of_a_later_version_do_no_harm() -> None:
    beat = Beat(NAME, 1, 2, 3, 4)
    later = [*msgspec.msgpack.decode(encode_beat(beat)), "more"]
    assert parse_notice(msgspec.msgpack.encode(later)) == (beat, None)
