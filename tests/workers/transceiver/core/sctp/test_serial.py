"""Numbers that wrap."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workers.transceiver.core.sctp.serial import SSN_MASK, TSN_MASK, unwrap_ssn, unwrap_tsn


@given(st.integers(0, 1 << 40), st.integers(-(1 << 31), (1 << 31) - 1))
def test_a_tsn_near_by_is_found(near: int, offset: int) -> None:
    assert unwrap_tsn((near + offset) & TSN_MASK, near) == near + offset


@given(st.integers(0, 1 << 40), st.integers(-(1 << 15), (1 << 15) - 1))
def test_a_stream_sequence_number_near_by_is_found(near: int, offset: int) -> None:
    assert unwrap_ssn((near + offset) & SSN_MASK, near) == near + offset
