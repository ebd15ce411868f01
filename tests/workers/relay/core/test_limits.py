"""Introductions are bounded by ufrag, by source and by transceiver, and so is the memory for that."""

from config.ids import ClusterId, Endpoint, Epoch, Route, TransceiverId
from workers.relay.core.limits import (
    MAX_KEYS,
    NEW_PER_UFRAG,
    NEW_WINDOW,
    PER_ROUTE,
    PER_SOURCE,
    PER_UFRAG,
    IntroductionLimits,
    WindowLimit,
)
from workers.wire.types import DropReason

ROUTE = Route(ClusterId(0), TransceiverId(1), Epoch(1))


def test_a_window_admits_its_limit_and_starts_anew() -> None:
    limit: WindowLimit[str] = WindowLimit(3)
    assert [limit.admit("a", 10.0) for _ in range(4)] == [True, True, True, False]
    assert limit.admit("b", 10.9)
    assert not limit.admit("a", 10.9)
    assert limit.admit("a", 11.0)


def test_keys_are_bounded() -> None:
    limit: WindowLimit[int] = WindowLimit(2)
    assert all(limit.admit(key, 0.0) for key in range(MAX_KEYS))
    assert not limit.admit(MAX_KEYS, 0.0)
    assert limit.admit(0, 0.0)
    assert limit.admit(MAX_KEYS, 1.0)


def test_new_flows_of_a_ufrag_are_few_and_no_number_of_ufrags_keeps_out_another() -> None:
    limits = IntroductionLimits()
    allowed = [limits.refuse_flow("u", 0.0) for _ in range(NEW_PER_UFRAG + 1)]
    assert allowed == [None] * NEW_PER_UFRAG + [DropReason.UFRAG_LIMIT]
    refused = sum(limits.refuse_flow(f"u{n}", 1.0) is not None for n in range(2 * MAX_KEYS))
    assert refused < 5  # those that meet "u"
    assert limits.refuse_flow("u", NEW_WINDOW - 0.1) is DropReason.UFRAG_LIMIT
    assert limits.refuse_flow("u", NEW_WINDOW) is None


def admitted(attempts: list[tuple[str, Endpoint]]) -> tuple[int, set[DropReason | None]]:
    limits = IntroductionLimits()
    verdicts = [limits.refuse(ufrag, source, ROUTE, 0.0) for ufrag, source in attempts]
    return verdicts.count(None), set(verdicts) - {None}


def test_one_ufrag_from_many_addresses() -> None:
    attempts = [("u", Endpoint(f"192.0.2.{n}", 1)) for n in range(200)]
    assert admitted(attempts) == (PER_UFRAG, {DropReason.UFRAG_LIMIT})


def test_one_address_with_many_ufrags_whatever_its_port() -> None:
    attempts = [(f"u{n}", Endpoint("192.0.2.1", n)) for n in range(PER_SOURCE + 5)]
    assert admitted(attempts) == (PER_SOURCE, {DropReason.SOURCE_LIMIT})


def test_an_ipv6_source_is_its_64() -> None:
    attempts = [(f"u{n}", Endpoint(f"2001:db8::{n:x}", 1)) for n in range(1, PER_SOURCE + 6)]
    assert admitted(attempts) == (PER_SOURCE, {DropReason.SOURCE_LIMIT})


def test_one_transceiver_from_everywhere() -> None:
    attempts = [
        (f"u{n}", Endpoint(f"10.0.{n // 256}.{n % 256}", 1))
        for n in range(min(PER_ROUTE, MAX_KEYS))
    ]
    count, reasons = admitted([*attempts, ("u0", Endpoint("10.0.0.0", 1))])
    assert (count, reasons) == (PER_ROUTE, {DropReason.ROUTE_LIMIT})
