"""Labels: no slot twice at once, none within the rest, generations that move on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.relay.core.flow import FlowState
from workers.relay.core.flowtable import REST, FlowTable, SlotMemory
from workers.wire.link import make_label, split_label


def table(capacity: int, first_generation: int = 0) -> FlowTable:
    return FlowTable(SlotMemory.fresh(capacity, lambda n: bytes([first_generation]) * n), 0.0)


def reserve(flows: FlowTable, now: float) -> int:
    label = flows.reserve(now)
    assert label is not None
    return label


def test_starting_generations_are_random() -> None:
    flows = FlowTable(SlotMemory.fresh(3, lambda n: bytes(range(7, 7 + n))), 0.0)
    assert [split_label(reserve(flows, 0.0)) for _ in range(3)] == [(0, 8), (1, 9), (2, 10)]


def test_generations_wrap() -> None:
    flows = table(1, 0xFF)
    assert reserve(flows, 0.0) == make_label(0, 0)


def test_a_full_table_has_no_slot() -> None:
    flows = table(2)
    reserve(flows, 0.0), reserve(flows, 0.0)
    assert flows.reserve(1e9) is None


def test_a_slot_rests_and_comes_back_with_another_generation() -> None:
    flows = table(1)
    first = reserve(flows, 0.0)
    flows.end(first, 10.0)
    assert flows.reserve(10.0 + REST - 0.1) is None
    second = reserve(flows, 10.0 + REST)
    assert split_label(second)[0] == split_label(first)[0]
    assert flows.state(second) is FlowState.PENDING
    assert flows.state(first) is None


def test_the_slot_that_has_rested_longest_goes_first() -> None:
    flows = table(3)
    labels = [reserve(flows, 0.0) for _ in range(3)]
    for now, label in enumerate((labels[1], labels[2], labels[0])):
        flows.end(label, float(now))
    slots = [split_label(reserve(flows, 100.0))[0] for _ in range(3)]
    assert slots == [1, 2, 0]


def test_a_rested_slot_goes_before_one_that_was_never_used() -> None:
    """So that a flood which comes and goes does not use up the table, and its memory, for good."""
    memory = SlotMemory.fresh(8, bytes)
    flows = FlowTable(memory, 0.0)
    for turn in range(20):
        now = turn * REST
        labels = [reserve(flows, now) for _ in range(3)]
        for label in labels:
            flows.end(label, now)
    assert memory.used[0] == 3
    reserve(flows, 19 * REST + 1.0)  # nothing has rested
    assert memory.used[0] == 4


def test_states_go_round_the_circle() -> None:
    flows = table(1)
    label = reserve(flows, 0.0)
    assert (flows.state(label), flows.pending, flows.assured) == (FlowState.PENDING, 1, 0)
    flows.assure(label)
    assert (flows.state(label), flows.pending, flows.assured) == (FlowState.ASSURED, 0, 1)
    flows.end(label, 0.0)
    assert (flows.state(label), flows.pending, flows.assured) == (FlowState.RESTING, 0, 0)


@pytest.mark.parametrize("capacity", [0, 1 << 24])
def test_capacity_is_bounded(capacity: int) -> None:
    with pytest.raises(ValueError, match="slots"):
        table(capacity)


@given(st.integers(0, 0xFFFFFFFF))
def test_any_label_has_a_state_or_none(label: int) -> None:
    flows = table(4)
    mine = reserve(flows, 0.0)
    assert (flows.state(label) is FlowState.PENDING) == (label == mine)


@given(
    st.lists(
        st.tuples(st.sampled_from(["reserve", "assure", "end"]), st.floats(0, 20)), max_size=80
    )
)
def test_a_label_names_one_flow_at_a_time(steps: list[tuple[str, float]]) -> None:
    flows, now = table(4), 0.0
    pending: list[int] = []
    assured: list[int] = []
    ended: dict[int, float] = {}
    for what, later in steps:
        now += later
        if what == "reserve" and (label := flows.reserve(now)) is not None:
            slot = label >> 8
            assert slot not in {taken >> 8 for taken in pending + assured}
            assert now - ended.pop(slot, -1e9) >= REST
            pending.append(label)
        elif what == "assure" and pending:
            flows.assure(pending[0])
            assured.append(pending.pop(0))
        elif what == "end" and (pending or assured):
            label = (assured or pending).pop(0)
            flows.end(label, now)
            ended[label >> 8] = now
        assert (flows.pending, flows.assured) == (len(pending), len(assured))


# --- after an earlier process ---------------------------------------------------------------------


def left_by(flows: FlowTable, memory: SlotMemory, now: float) -> FlowTable:
    """A successor that finds in the datapath what was assured."""
    labels = [make_label(slot, memory.generations[slot]) for slot in range(memory.used[0])]
    installed = [label for label in labels if flows.state(label) is FlowState.ASSURED]
    return FlowTable(SlotMemory(memory.generations, memory.used, installed), now)


def test_a_successor_goes_on_with_what_was_assured() -> None:
    memory = SlotMemory.fresh(8, bytes)
    first = FlowTable(memory, 0.0)
    kept, pending, ended = (reserve(first, 0.0) for _ in range(3))
    first.assure(kept)
    first.end(ended, 1.0)
    second = left_by(first, memory, 2.0)
    assert (second.assured, second.pending) == (1, 0)
    assert second.state(kept) is FlowState.ASSURED
    # What was pending or resting rests from now on; what was never used can be used at once.
    assert second.state(pending) is second.state(ended) is FlowState.RESTING
    assert [split_label(reserve(second, 2.0))[0] for _ in range(5)] == [3, 4, 5, 6, 7]
    assert second.reserve(2.0 + REST - 0.1) is None
    assert split_label(reserve(second, 2.0 + REST)) == (1, 2)
    second.end(kept, 2.0 + REST)
    assert second.assured == 0


def test_a_label_is_in_the_kept_memory_when_it_is_given_out() -> None:
    memory = SlotMemory.fresh(4, lambda n: bytes([9]) * n)
    label = reserve(FlowTable(memory, 0.0), 0.0)
    assert split_label(label) == (0, memory.generations[0])
    assert memory.used[0] == 1


@given(
    st.lists(st.sampled_from(["reserve", "assure", "end", "die"]), max_size=60),
    st.integers(1, 5),
)
def test_no_label_is_given_out_twice_within_the_rest_whatever_dies(
    steps: list[str], capacity: int
) -> None:
    memory = SlotMemory.fresh(capacity, bytes)
    flows, now = FlowTable(memory, 0.0), 0.0
    given_out: dict[int, float] = {}
    live: list[int] = []
    for what in steps:
        now += 3.0
        if what == "reserve" and (label := flows.reserve(now)) is not None:
            assert now - given_out.get(label, -1e9) >= REST
            live.append(label)
        elif what == "assure" and live and flows.state(live[0]) is FlowState.PENDING:
            flows.assure(live[0])
        elif what == "end" and live:
            given_out[live[0]] = now
            flows.end(live.pop(0), now)
        elif what == "die":
            successor = left_by(flows, memory, now)
            for label in live:
                given_out[label] = now
            live = [label for label in live if successor.state(label) is FlowState.ASSURED]
            flows = successor


def test_a_memory_that_claims_too_much_is_bounded() -> None:
    memory = SlotMemory.fresh(4, bytes)
    memory.used[0] = 1 << 31
    flows = FlowTable(memory, 0.0)
    assert flows.reserve(0.0) is None
    assert flows.reserve(REST) is not None
