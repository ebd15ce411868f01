"""Every message survives the trip; nothing else gets through; the wire is plain msgpack."""

from __future__ import annotations

import contextlib
import typing
from enum import Enum
from types import NoneType, UnionType
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.ids import Endpoint, Role, Route, WorkerName
from ipc.codec import MAX_MESSAGE, CodecError, decode, encode
from ipc.messages import Message
from ipc.messages.admin import Failure
from ipc.messages.lifecycle import (
    Assignment,
    Descriptor,
    DescriptorKind,
    Drain,
    Hello,
    Welcome,
)
from ipc.messages.sessions import CloseReason, Problem, SessionRefused, SessionsNews

KINDS: tuple[type[msgspec.Struct], ...] = typing.get_args(Message)


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a field type as the messages use them."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if hasattr(kind, "__supertype__"):
        return values_of(kind.__supertype__)
    if origin in (typing.Union, UnionType):
        return st.one_of(*(values_of(argument) for argument in arguments))
    if origin is tuple and arguments[-1] is not Ellipsis:
        return st.tuples(*map(values_of, arguments))
    if origin is tuple:
        return st.lists(values_of(arguments[0]), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(*(values_of(argument) for argument in arguments), max_size=3)
    if isinstance(kind, type):
        if issubclass(kind, msgspec.Struct):
            hints = typing.get_type_hints(kind)
            return st.builds(kind, **{f: values_of(hints[f]) for f in kind.__struct_fields__})
        if issubclass(kind, tuple):
            hints = typing.get_type_hints(kind)
            return st.builds(kind, **{name: values_of(hint) for name, hint in hints.items()})
        if issubclass(kind, Enum):
            return st.sampled_from(kind)
    simple: dict[Any, st.SearchStrategy[Any]] = {
        int: st.integers(-(2**63), 2**64 - 1),
        float: st.floats(allow_nan=False),
        str: st.text(max_size=20),
        bytes: st.binary(max_size=20),
        bool: st.booleans(),
        NoneType: st.none(),
        Any: st.one_of(st.none(), st.integers(-5, 5), st.text(max_size=5)),
    }
    return simple[kind]


messages = st.one_of(*map(values_of, KINDS))


@given(messages)
def test_every_message_survives_the_trip(message: Message) -> None:
    assert decode(encode(message)) == message


def test_every_kind_is_tagged_with_its_own_name() -> None:
    tags = [kind.__struct_config__.tag for kind in KINDS]
    assert tags == [kind.__name__ for kind in KINDS]
    assert len(set(tags)) == len(tags)


def plain(value: Any) -> Any:
    """What another language would see of a value, all defaults written out."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, msgspec.Struct):
        tag = value.__struct_config__.tag
        fields = {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        return fields if tag is None else {"type": tag} | fields
    return value


def agrees(seen: Any, full: Any) -> bool:
    """Whether `seen` is `full`, defaults left off or not."""
    if isinstance(full, dict):
        return isinstance(seen, dict) and all(
            name in full and agrees(value, full[name]) for name, value in seen.items()
        )
    if isinstance(full, list):
        return len(seen) == len(full) and all(map(agrees, seen, full))
    return bool(seen == full) and type(seen) is type(full)


@given(messages)
def test_another_msgpack_reads_the_same(message: Message) -> None:
    assert agrees(msgpack.unpackb(encode(message)), plain(message))


@given(messages)
def test_what_another_msgpack_writes_is_read(message: Message) -> None:
    assert decode(msgpack.packb(plain(message))) == message


def test_the_wire_form_of_a_hello() -> None:
    hello = Hello(version=1, name=WorkerName("relay-0"), role=Role.RELAY, generation=2, pid=77)
    assert msgpack.unpackb(encode(hello)) == {
        "type": "Hello",
        "version": 1,
        "name": "relay-0",
        "role": 1,
        "generation": 2,
        "pid": 77,
    }


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_message_or_an_error(data: bytes) -> None:
    try:
        message = decode(data)
    except CodecError:
        return
    assert isinstance(message, KINDS)


@given(messages, st.data())
def test_damaged_messages_are_a_message_or_an_error(message: Message, data: st.DataObject) -> None:
    wire = bytearray(encode(message))
    for _ in range(data.draw(st.integers(1, 3))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CodecError):
        assert isinstance(decode(wire), KINDS)


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        (b"", "truncated"),
        (b"\xc1", "malformed"),
        (msgpack.packb({"type": "Nonsense"}), r"Invalid value 'Nonsense' .*another version"),
        (msgpack.packb({"why": "x"}), "missing required field `type`"),
        (msgpack.packb({"type": "Drain"}), "missing required field `within`"),
        (
            msgpack.packb({"type": "Drain", "within": "soon"}),
            r"Expected `float`, got `str` - at `\$.within`",
        ),
        (
            msgpack.packb({"type": "Routes", "serial": 1, "routes": [{"route": [1, 2]}]}),
            r"\$.routes\[0\].route",
        ),
        (encode(Drain(within=1)) + b"\x00", "trailing"),
        (msgpack.packb({"type": "Failure", "why": b"bytes"}), r"\$.why"),
        (b"\x82\xa4type\xa7Failure\xa3why\xa1\xff", "utf-8"),
        (b"\x83\xa4type\xa7Failure\xa3why\xa1x\xa1y" + b"\x91" * 100_000, "nested too deeply"),
        (bytes(MAX_MESSAGE + 1), "at most 1048576 are allowed"),
        (b"\x82\xa4type\xa7Failure\xa3why\xdb\xff\xff\xff\xff", "truncated"),
        (b"\xdf\xff\xff\xff\xff\xa4type", "truncated"),
    ],
)
def test_what_is_wrong_is_named(wire: bytes, why: str) -> None:
    with pytest.raises(CodecError, match=why):
        decode(wire)


def test_unknown_fields_are_skipped_for_the_sake_of_newer_peers() -> None:
    wire = msgpack.packb({"type": "Welcome", "supervisor_pid": 5, "mood": {"good": [1, 2]}})
    assert decode(wire) == Welcome(supervisor_pid=5)


def test_words_of_newer_peers_are_the_nearest_that_we_have() -> None:
    news = {"session": "rtc_1", "closed": "eclipse", "detail": "the moon"}
    found = decode(msgpack.packb({"type": "SessionsNews", "serial": 3, "news": [news]}))
    assert isinstance(found, SessionsNews)
    assert found.news[0].closed is CloseReason.INTERNAL_ERROR
    refused = decode(
        msgpack.packb({"type": "SessionRefused", "problem": "eclipse", "detail": "no sun"})
    )
    assert refused == SessionRefused(Problem.INTERNAL_ERROR, "no sun")
    novel = msgpack.packb({"kind": "wormhole", "endpoint": ["", 0]})
    given = msgspec.msgpack.decode(novel, type=Descriptor)
    assert given == Descriptor(DescriptorKind.UNKNOWN, Endpoint("", 0))


def test_the_size_cap_holds_both_ways() -> None:
    room = MAX_MESSAGE - len(encode(Failure(why="x" * 70_000))) + 70_000
    fits = Failure(why="x" * room)
    assert len(encode(fits)) == MAX_MESSAGE
    assert decode(encode(fits)) == fits
    with pytest.raises(CodecError, match="Failure: 1048577 bytes encoded, at most 1048576"):
        encode(Failure(why="x" * (room + 1)))


@pytest.mark.parametrize("why", ["\udc80", 1 << 70, object()])
def test_a_value_without_a_wire_form_is_an_error(why: Any) -> None:
    with pytest.raises(CodecError, match="Failure: "):
        encode(Failure(why=why))


def test_named_tuples_come_back_as_themselves() -> None:
    assignment = Assignment(
        version=1,
        name=WorkerName("transceiver-1"),
        role=Role.TRANSCEIVER,
        index=1,
        generation=3,
        config="{}",
        control="ipc:///x",
        bus="ipc:///y",
        runtime_directory="/run",
        descriptors=(),
        ufrag_keys={"a": bytes(16)},
        mint_with="a",
        advertise=(Endpoint("2001:db8::1", 3478),),
        route=Route(*(1, 2, 3)),  # type: ignore[arg-type]
    )
    back = decode(encode(assignment))
    assert isinstance(back, Assignment)
    assert isinstance(back.route, Route)
    assert isinstance(back.advertise[0], Endpoint)
    assert back.ufrag_keys == {"a": bytes(16)}
