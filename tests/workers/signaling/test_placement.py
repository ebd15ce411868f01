"""Placement: least loaded, counting what the supervisor's table cannot know yet."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipc.messages.routes import Transceivers
from tests.support.signaling import entry, route
from workers.http.problems import ProblemKind, Refused
from workers.signaling.placement import Placement
from workers.signaling.recent import MEMORY


def placement(*entries: object, draining: bool = False) -> Placement:
    made = Placement()
    made.update(Transceivers(entries=tuple(entries), draining=draining))  # type: ignore[arg-type]
    return made


def test_the_least_loaded_accepting_one_is_chosen() -> None:
    table = placement(entry(0, sessions=5), entry(1, sessions=2), entry(2, accepting=False))
    assert table.choose(0.0).route == route(1)


def test_a_burst_between_two_tables_is_spread() -> None:
    table = placement(entry(0), entry(1), entry(2))
    chosen = Counter(table.choose(0.0).route for _ in range(30))
    assert chosen == {route(0): 10, route(1): 10, route(2): 10}


def test_a_burst_fills_up_the_emptier_one_first() -> None:
    table = placement(entry(0, sessions=10), entry(1))
    assert [table.choose(0.0).route for _ in range(10)] == [route(1)] * 10


def test_own_placements_are_forgotten_when_the_table_must_know_them() -> None:
    table = placement(entry(0), entry(1, sessions=1))
    assert table.choose(0.0).route == route(0)
    assert table.choose(0.5).route == route(0)
    assert table.choose(0.6).route == route(1)
    assert table.choose(0.5 + MEMORY).route == route(0)


def test_recent_placements_tilt_the_balance_but_never_make_full() -> None:
    table = placement(entry(0, max_sessions=2))
    assert [table.choose(0.0).route for _ in range(5)] == [route(0)] * 5


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        (placement(), ProblemKind.NOT_READY),
        (placement(entry(0, accepting=False)), ProblemKind.NOT_READY),
        (placement(entry(0), draining=True), ProblemKind.DRAINING),
    ],
)
def test_why_nobody_is_chosen(table: Placement, kind: ProblemKind) -> None:
    with pytest.raises(Refused) as refused:
        table.choose(0.0)
    assert refused.value.kind is kind
    assert "retry-after" in refused.value.response_headers


def test_only_a_transceiver_itself_knows_that_it_is_full() -> None:
    """The table is late, and sessions for which nobody comes make room."""
    table = placement(entry(0, sessions=100), entry(1, sessions=101))
    assert table.choose(0.0).route == route(0)
    with pytest.raises(Refused) as refused:
        table.choose(0.0, avoid={route(0), route(1)})
    assert refused.value.kind is ProblemKind.FULL
    assert "retry-after" in refused.value.response_headers


def test_one_that_was_tried_is_avoided() -> None:
    table = placement(entry(0), entry(1, sessions=50))
    assert table.choose(0.0, avoid={route(0)}).route == route(1)


def test_owners_are_found_while_they_drain() -> None:
    table = placement(entry(3, accepting=False))
    found = table.owner(route(3))
    assert found is not None
    assert found.rpc == "fake-3"
    assert table.owner(route(4)) is None


def test_readiness() -> None:
    assert placement(entry(0)).ready
    assert not placement(entry(0, accepting=False)).ready
    assert not placement(entry(0), draining=True).ready


@given(
    loads=st.lists(st.integers(0, 50), min_size=1, max_size=6),
    gaps=st.lists(st.floats(0, 2), max_size=60),
)
def test_no_two_transceivers_drift_apart(loads: list[int], gaps: list[float]) -> None:
    """Each choice goes to one whose load, with our recent ones, is the smallest."""
    table = placement(*(entry(n, sessions=load) for n, load in enumerate(loads)))
    recent: list[tuple[float, int]] = []
    now = 0.0
    for gap in gaps:
        now += gap
        recent = [(until, n) for until, n in recent if until > now]
        own = Counter(n for _, n in recent)
        chosen = int(table.choose(now).route.transceiver)
        assert loads[chosen] + own[chosen] == min(load + own[n] for n, load in enumerate(loads))
        recent.append((now + MEMORY, chosen))
