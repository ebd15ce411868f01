"""What may wait for the flow cache is bounded in every way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from config.ids import Endpoint, FlowKey, Transport
from workers.relay.core.hold import (
    MOST_BYTES,
    MOST_FLOWS,
    PATIENCE,
    PER_FLOW,
    QUESTIONS,
    QUESTIONS_PER_SOURCE,
    Hold,
)
from workers.relay.core.interface import Upcall
from workers.wire.types import DropReason

LOCAL = Endpoint("198.51.100.1", 3478)


def media(host: int = 1, port: int = 5000, size: int = 100) -> Upcall:
    client = Endpoint(f"192.0.{host // 250}.{host % 250 + 1}", port)
    return Upcall(FlowKey(Transport.UDP, client, LOCAL), b"\x80" * size, None)


def take(hold: Hold, event: Upcall, now: float = 0.0) -> DropReason | bool:
    return hold.take(event, event.key.client, now)


def test_one_question_a_flow() -> None:
    hold = Hold()
    assert take(hold, media()) is True
    assert [take(hold, media()) for _ in range(PER_FLOW - 1)] == [False] * (PER_FLOW - 1)
    assert take(hold, media()) is DropReason.HOLD_FULL
    assert len(hold.release(media().key)) == PER_FLOW == 16
    assert hold.release(media().key) == []
    assert hold.datagrams == 0
    assert take(hold, media()) is True


def test_nothing_waits_longer_than_it_is_of_use() -> None:
    hold = Hold()
    take(hold, media(1), 0.0)
    take(hold, media(2), 0.1)
    take(hold, media(1), 0.2)
    assert hold.next_timeout() == PATIENCE
    assert len(hold.overdue(PATIENCE)) == 2
    assert hold.next_timeout() == 0.1 + PATIENCE
    assert len(hold.overdue(0.1 + PATIENCE)) == 1
    assert hold.next_timeout() is None


def test_an_address_asks_only_so_much() -> None:
    hold = Hold()
    answers = [take(hold, media(1, port)) for port in range(1, QUESTIONS_PER_SOURCE + 11)]
    assert answers.count(DropReason.SOURCE_LIMIT) == 10
    assert take(hold, media(2)) is True
    assert take(hold, media(1, 60_000), 1.0) is True


def test_all_together_ask_only_so_much() -> None:
    hold = Hold()
    for n in range(QUESTIONS):
        event = media(n // 512, 1 + n % 512)
        assert take(hold, event) is True
        hold.release(event.key)
    assert take(hold, media(100)) is DropReason.LOOKUP_LIMIT


def test_no_number_of_flows_or_bytes_fills_the_memory() -> None:
    hold = Hold()
    now = 0.0
    for n in range(MOST_FLOWS):
        now += 0.001
        assert take(hold, media(n // 64, 1 + n % 64), now) is True
    assert take(hold, media(200, 1), now + 1) is DropReason.HOLD_FULL
    large = Hold()
    taken = 0
    while take(large, media(taken, 1, 2048), float(taken)) is not DropReason.HOLD_FULL:
        taken += 1
    assert taken == MOST_BYTES // 2048


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(["take", "release", "overdue"])), max_size=80
    )
)
def test_what_waits_adds_up(steps: list[tuple[int, str]]) -> None:
    hold, inside, now = Hold(), 0, 0.0
    for host, what in steps:
        now += 0.05
        match what:
            case "take":
                inside += not isinstance(take(hold, media(host), now), DropReason)
            case "release":
                inside -= len(hold.release(media(host).key))
            case _:
                inside -= len(hold.overdue(now))
        assert hold.datagrams == inside
        assert hold._bytes == 100 * inside
