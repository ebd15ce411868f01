"""Fragments in any order become the messages they were."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.transceiver.core.sctp.reassembly import Message, ProtocolError, Reassembly
from workers.wire.sctp_chunks import Data


def fragments(messages: list[tuple[int, bool, list[bytes]]]) -> list[Data]:
    """(stream, unordered, pieces) in the order of sending."""
    sequences: dict[int, int] = {}
    chunks: list[Data] = []
    for stream, unordered, pieces in messages:
        sequence = 0 if unordered else sequences.get(stream, 0)
        for index, piece in enumerate(pieces):
            first, last = index == 0, index == len(pieces) - 1
            chunks.append(Data(len(chunks), stream, sequence, 53, piece, first, last, unordered))
        if not unordered:
            sequences[stream] = sequence + 1
    return chunks


pieces = st.lists(st.binary(min_size=1, max_size=3), min_size=1, max_size=4)
messages = st.lists(st.tuples(st.integers(0, 2), st.booleans(), pieces), min_size=1, max_size=12)


@given(messages, st.data())
def test_any_order_of_arrival(sent: list[tuple[int, bool, list[bytes]]], data: Any) -> None:
    reassembly = Reassembly(100_000, 1000)
    heard: list[Message] = []
    for chunk in data.draw(st.permutations(fragments(sent))):
        heard += reassembly.add(chunk.tsn, chunk)
    assert reassembly.buffered == 0
    whole = [Message(stream, 53, b"".join(parts)) for stream, _, parts in sent]
    assert sorted(heard) == sorted(whole)
    for stream in range(3):
        in_order = [b"".join(p) for s, unordered, p in sent if s == stream and not unordered]
        positions = iter(m.payload for m in heard if m.stream == stream)
        assert all(any(payload == other for other in positions) for payload in in_order)


def test_what_does_not_fit_is_a_violation() -> None:
    for first, second in pairwise(
        [Data(0, 1, 0, 53, b"a", True, False), Data(1, 2, 0, 53, b"b", False, True)]
    ):
        reassembly = Reassembly(1000, 1000)
        reassembly.add(0, first)
        with pytest.raises(ProtocolError):
            reassembly.add(1, second)


def test_skipping_lets_those_behind_go_on() -> None:
    reassembly = Reassembly(1000, 1000)
    assert reassembly.add(0, Data(0, 1, 0, 53, b"a", True, False)) == []
    assert reassembly.add(2, Data(2, 1, 1, 53, b"next")) == []
    assert reassembly.skip(1, ((1, 0),)) == [Message(1, 53, b"next")]
    assert reassembly.buffered == 0


def test_a_reset_stream_counts_from_0() -> None:
    reassembly = Reassembly(1000, 1000)
    for _ in range(2):
        assert reassembly.add(0, Data(0, 1, 0, 53, b"a")) == [Message(1, 53, b"a")]
        reassembly.add(5, Data(5, 1, 7, 53, b"never"))
        reassembly.reset((1,))
        assert reassembly.buffered == 0
