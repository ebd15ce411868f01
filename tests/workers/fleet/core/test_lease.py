"""When numbers are asked for, and what is made of the answer. The script itself: test_redis.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.ids import TransceiverId
from workers.fleet.core.lease import NONE, RENEW, RETRY, Lease, LeaseRequest


def ids(*numbers: int) -> tuple[TransceiverId, ...]:
    return tuple(map(TransceiverId, numbers))


def test_nothing_is_asked_before_anything_is_wanted() -> None:
    assert Lease(0).request(100.0) is None


def test_what_is_had_is_asked_for_again() -> None:
    lease = Lease(7)
    lease.want(3, ids(4, 5), 0.0)
    assert lease.request(0.0) == LeaseRequest(3, 7, ids(4, 5))
    assert lease.granted([4, 5, 9], 0.0) == ids(4, 5, 9)
    lease.want(3, ids(4, 5), 1.0)  # said before the supervisor knew
    assert lease.request(1.0) is None
    assert lease.request(RENEW) == LeaseRequest(3, 7, ids(4, 5, 9))


def test_as_long_as_some_are_missing_it_is_tried_again_soon() -> None:
    lease = Lease(0)
    lease.want(2, (), 0.0)
    assert lease.granted([3, NONE], 0.0) is None
    assert lease.request(RETRY / 2) is None
    assert lease.request(RETRY) is not None


def test_a_registry_that_has_forgotten_us_is_told_at_once() -> None:
    lease = Lease(0)
    lease.want(1, ids(4), 0.0)
    assert lease.granted([4], 0.0)
    lease.lost(1.0)
    assert lease.request(1.0) == LeaseRequest(1, 0, ids(4))


@pytest.mark.parametrize("reply", [[], [1], [1, 1], [1, 65536], [1, -2], [1, 2, 3]])
def test_nonsense_is_no_lease(reply: list[int]) -> None:
    lease = Lease(0)
    lease.want(2, (), 0.0)
    with pytest.raises(ValueError, match="number"):
        lease.granted(reply, 0.0)
    assert lease.request(0.0) == LeaseRequest(2, 0, ())


@given(st.lists(st.integers(-3, 70_000), max_size=4), st.integers(1, 4))
def test_a_lease_is_whole_or_none(reply: list[int], wanted: int) -> None:
    lease = Lease(0)
    lease.want(wanted, (), 0.0)
    try:
        given_ = lease.granted(reply, 0.0)
    except ValueError:
        return
    assert given_ is None or (len(set(given_)) == wanted and list(given_) == reply)
