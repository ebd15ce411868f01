"""Loss and jitter of the peer's stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.transceiver.core.reception import Reception


def feed(reception: Reception, *sequences: int, ssrc: int = 1) -> Reception:
    for sequence in sequences:
        reception.count(
            ssrc, sequence & 0xFFFF, sequence * 960 & 0xFFFFFFFF, 48000, sequence * 0.02
        )
    return reception


def test_nothing_heard_is_nothing_lost() -> None:
    reception = Reception()
    assert (reception.expected, reception.lost, reception.jitter) == (0, 0, 0.0)


@given(st.integers(0, 65535), st.sets(st.integers(1, 98), max_size=40))
def test_what_is_missing_is_lost_also_around_a_wrap(base: int, missing: set[int]) -> None:
    reception = feed(Reception(), *(base + i for i in range(100) if i not in missing))
    assert (reception.expected, reception.lost) == (100, len(missing))


def test_a_late_packet_is_not_lost() -> None:
    reception = feed(Reception(), 10, 12, 13)
    assert reception.lost == 1
    assert feed(reception, 11).lost == 0


def test_packets_before_the_first_are_expected_too() -> None:
    reception = feed(Reception(), 1, 65535, 0, 2)
    assert (reception.expected, reception.lost) == (4, 0)


def test_a_jump_is_believed_when_it_is_confirmed() -> None:
    reception = feed(Reception(), 1, 2, 3)
    assert feed(reception, 30_000).expected == 3
    feed(reception, 30_001, 30_002)
    assert (reception.expected, reception.lost) == (5, 0)


def test_a_new_source_begins_anew_and_keeps_the_account() -> None:
    reception = feed(Reception(), 1, 3, ssrc=1)
    feed(reception, 500, 501, 503, ssrc=2)
    assert (reception.packets, reception.expected, reception.lost) == (5, 7, 2)


def test_even_arrival_has_no_jitter_and_uneven_has() -> None:
    even = feed(Reception(), *range(200))
    assert even.jitter == pytest.approx(0, abs=1e-9)
    uneven = Reception()
    for index in range(400):
        uneven.count(1, index, index * 960, 48000, index * 0.02 + (0.01 if index % 2 else 0))
    assert uneven.jitter == pytest.approx(0.01, rel=0.01)


def test_the_timestamp_may_wrap() -> None:
    reception = Reception()
    for index in range(100):
        reception.count(1, index, (2**32 - 48000 + index * 960) % 2**32, 48000, index * 0.02)
    assert reception.jitter == pytest.approx(0, abs=1e-9)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 65535), st.integers(0, 2**32 - 1))))
def test_any_stream_gives_sane_numbers(packets: list[tuple[int, int, int]]) -> None:
    reception = Reception()
    for index, (ssrc, sequence, timestamp) in enumerate(packets):
        reception.count(ssrc, sequence, timestamp, 8000, index * 0.02)
    assert reception.packets == len(packets)
    assert reception.lost >= 0
    assert 0 <= reception.jitter <= 1
