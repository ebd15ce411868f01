from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.signaling.quotas import MAX_BUCKETS, Buckets, neighbourhood


def test_a_burst_passes_and_a_stream_does_not() -> None:
    buckets = Buckets()
    assert [buckets.take("a", 3, 100.0) for _ in range(4)] == [0.0, 0.0, 0.0, 20.0]
    assert buckets.take("a", 3, 119.0) == pytest.approx(1.0)
    assert buckets.take("a", 3, 120.0) == 0.0
    assert buckets.take("b", 3, 120.0) == 0.0


def test_no_limit_is_none() -> None:
    buckets = Buckets()
    assert {buckets.take("a", 0, 0.0) for _ in range(1000)} == {0.0}


def test_a_clock_that_steps_back_gives_nothing() -> None:
    buckets = Buckets()
    buckets.take("a", 1, 100.0)
    assert buckets.take("a", 1, 50.0) == pytest.approx(60.0)


@given(
    st.integers(1, 100),
    st.lists(st.floats(0, 5, allow_nan=False), min_size=1, max_size=200),
)
def test_in_any_time_no_more_than_a_bucket_and_what_flowed_in(
    per_minute: int, pauses: list[float]
) -> None:
    buckets, now, taken = Buckets(), 0.0, 0
    for pause in pauses:
        now += pause
        wait = buckets.take("a", per_minute, now)
        assert wait <= 60 / per_minute + 1e-9
        taken += wait == 0
    assert taken <= per_minute + now * per_minute / 60 + 1e-6


def test_strangers_cannot_make_it_grow_nor_empty_a_bucket_that_is_used() -> None:
    buckets = Buckets()
    buckets.take("mine", 1, 0.0)
    for number in range(MAX_BUCKETS + 100):
        buckets.take(str(number), 1, 0.0)
        if number % 1000 == 0:
            assert buckets.take("mine", 1, 0.0) > 0
    assert len(buckets._levels) == MAX_BUCKETS


@pytest.mark.parametrize(
    ("address", "whose"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
    ],
)
def test_who_shares_a_bucket(address: str, whose: str) -> None:
    assert neighbourhood(ip_address(address)) == whose
