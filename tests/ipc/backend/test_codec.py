"""Batches: what was said is what is read; nothing else gets through."""

from __future__ import annotations

import contextlib
import typing

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipc.backend.codec import (
    MAX_ITEMS,
    MAX_MESSAGE,
    BatchError,
    decode_from_backend,
    decode_to_backend,
    encode_batch,
    encode_batches,
    extend_batch,
)
from ipc.backend.messages import AudioIn, AudioOut, FromBackend, Heartbeat, ToBackend
from tests.ipc.test_codec import values_of


def items(kinds: object) -> st.SearchStrategy[typing.Any]:
    return st.one_of(*(values_of(kind) for kind in typing.get_args(kinds)))


@given(st.lists(items(ToBackend), max_size=5))
def test_to_the_back_end(batch: list[ToBackend]) -> None:
    assert decode_to_backend(encode_batch(batch)) == batch


@given(st.lists(items(FromBackend), max_size=5))
def test_from_the_back_end(batch: list[FromBackend]) -> None:
    assert decode_from_backend(encode_batch(batch)) == batch


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_batch_or_an_error(data: bytes) -> None:
    with contextlib.suppress(BatchError):
        decode_to_backend(data)
    with contextlib.suppress(BatchError):
        decode_from_backend(data)


def test_the_error_names_the_place() -> None:
    data = msgpack.packb([{"type": "heartbeat"}, {"type": "audio_in", "session": 7, "at": 0}])
    with pytest.raises(BatchError, match=r"\$\[1\].session|\$\[\.\.\.\].session"):
        decode_to_backend(data)


def test_directions_are_kept_apart() -> None:
    with pytest.raises(BatchError):
        decode_from_backend(encode_batch([AudioIn("s", 0, b"")]))
    with pytest.raises(BatchError):
        decode_to_backend(encode_batch([AudioOut("s", b"")]))


def test_unknown_fields_are_skipped_and_unknown_kinds_are_not() -> None:
    assert decode_to_backend(msgpack.packb([{"type": "heartbeat", "new": 1}])) == [Heartbeat()]
    with pytest.raises(BatchError):
        decode_to_backend(msgpack.packb([{"type": "telepathy"}]))


def test_bounds() -> None:
    with pytest.raises(BatchError):
        encode_batch([AudioIn("s", 0, bytes(MAX_MESSAGE))])
    with pytest.raises(BatchError):
        encode_batch([Heartbeat()] * (MAX_ITEMS + 1))
    with pytest.raises(BatchError):
        decode_to_backend(msgpack.packb([{"type": "heartbeat"}] * (MAX_ITEMS + 1)))
    with pytest.raises(BatchError):
        decode_to_backend(bytes(MAX_MESSAGE + 1))
    with pytest.raises(BatchError):
        decode_to_backend(b"\x91" * 100_000)


def test_what_does_not_fit_into_one_batch_goes_into_several() -> None:
    large = AudioIn("s", 0, bytes(MAX_MESSAGE // 3))
    batches = list(encode_batches([large] * 5))
    assert sum(count for count, _ in batches) == 5
    decoded = [item for _, data in batches if data for item in decode_to_backend(data)]
    assert decoded == [large] * 5


@given(st.lists(items(ToBackend), max_size=20), st.lists(items(ToBackend), max_size=20))
def test_a_batch_takes_more_items_behind_its_own(
    one: list[ToBackend], two: list[ToBackend]
) -> None:
    whole = extend_batch(encode_batch(one), len(one), two)
    assert whole is not None
    assert decode_to_backend(whole) == one + two
    again = extend_batch(whole, len(one) + len(two), one)
    assert again is not None
    assert decode_to_backend(again) == one + two + one


def test_a_batch_takes_no_more_than_a_batch_may_have() -> None:
    many: list[ToBackend] = [Heartbeat()] * (MAX_ITEMS - 1)
    batch = encode_batch(many)
    assert extend_batch(batch, len(many), [Heartbeat()]) is not None
    assert extend_batch(batch, len(many), [Heartbeat()] * 2) is None
    half = encode_batch([AudioIn("s", 0, bytes(MAX_MESSAGE // 2))])
    assert extend_batch(half, 1, [AudioIn("s", 0, bytes(MAX_MESSAGE // 2))]) is None
    assert extend_batch(half, 1, [AudioIn("s", 0, bytes(MAX_MESSAGE))]) is None


def test_an_item_that_fits_nowhere_costs_itself_only() -> None:
    too_large = AudioIn("s", 0, bytes(MAX_MESSAGE))
    items: list[ToBackend] = [Heartbeat(), too_large, Heartbeat()]
    batches = list(encode_batches(items))
    assert [count for count, data in batches if data is None] == [1]
    assert sum(count for count, data in batches if data) == 2
