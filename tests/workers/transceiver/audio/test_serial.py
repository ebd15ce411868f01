"""Unwrapping: numbers that wrap become ones that do not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workers.transceiver.audio.serial import Unwrapper


@given(
    st.sampled_from([16, 32]),
    st.integers(0, 1 << 40),
    st.lists(st.integers(-(1 << 15) + 1, (1 << 15) - 1), max_size=30),
)
def test_steps_of_less_than_half_a_turn_are_followed(
    bits: int, start: int, steps: list[int]
) -> None:
    unwrapper = Unwrapper(bits)
    first = unwrapper.extend(start % (1 << bits))
    number = start
    highest = start
    for step in steps:
        # From the highest, whatever came last.
        number = highest + step
        if number < 0:
            continue
        assert unwrapper.peek(number % (1 << bits)) - first == number - start
        assert unwrapper.extend(number % (1 << bits)) - first == number - start
        highest = max(highest, number)
    assert unwrapper.highest - first == highest - start


def test_the_first_may_be_overtaken() -> None:
    unwrapper = Unwrapper(16)
    zero = unwrapper.extend(0)
    assert unwrapper.extend(0xFFFF) == zero - 1
    assert zero - 1 >= 0
