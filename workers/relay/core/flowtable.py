"""Slots and their generations: who may use which label, and when one may be used again.

A label is a slot and a generation (docs/wire.md, section 2). A slot is reused only after REST seconds,
oldest first, with the next generation; a table that starts empty starts with random generations. So a
record that was under way when its flow ended, or when the relay restarted, meets a label that is not
its own and is dropped.

Generations may be in memory that outlives the process. A successor finds there which slots have been
used; what of them is not installed rests from its start, since nobody knows when it ended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, Self

from config.ids import Instant
from workers.relay.core.flow import TRANSITIONS, FlowState, FlowStep
from workers.wire.link import SLOT_BITS, make_label

REST: Final = 35.0
"""Seconds a slot stays unused: longer than a session lives without consent (30 s, RFC 7675)."""


@dataclass(frozen=True, slots=True)
class SlotMemory:
    """What a flow table keeps where a successor finds it, and what an earlier one left there."""

    generations: bytearray | memoryview
    """One byte for each slot."""
    used: memoryview
    """One u32: slots from the first on that have ever had a label."""
    installed: Collection[int] = ()
    """Labels of the flows that an earlier process left in the datapath."""

    @classmethod
    def fresh(cls, capacity: int, entropy: Callable[[int], bytes]) -> Self:
        """Memory of no earlier process, which dies with this one. `entropy(n)`: n random bytes."""
        return cls(bytearray(entropy(capacity)), memoryview(bytearray(4)).cast("I"))


class FlowTable:
    """State and generation of every slot; bounded, and all of it allocated at the start."""

    def __init__(self, memory: SlotMemory, now: Instant) -> None:
        """As many slots as there are generations, 1 to 2^24 - 1."""
        capacity = len(memory.generations)
        if not 0 < capacity < 1 << SLOT_BITS:
            raise ValueError(f"a flow table has 1 to {(1 << SLOT_BITS) - 1} slots")
        self._generations = memory.generations
        self._used = memory.used
        self._states = bytearray(capacity)
        self.pending = 0
        self.assured = len(memory.installed)
        used = min(memory.used[0], capacity)
        self._states[:used] = bytes((FlowState.RESTING,)) * used
        for label in memory.installed:
            self._states[label >> 8] = FlowState.ASSURED
        self._resting = deque(
            (slot, now + REST) for slot in range(used) if self._states[slot] == FlowState.RESTING
        )
        """Slots and when each may be used again, oldest first."""

    def reserve(self, now: Instant) -> int | None:
        """Label of a slot that is PENDING from now on, or None if none is free."""
        slot = self._used[0]
        # One that has been used before one that has not: the table is no larger than it must be.
        if self._resting and self._resting[0][1] <= now:
            slot, _ = self._resting.popleft()
            self._step(slot, FlowStep.REST_OVER)
        elif slot < len(self._states):
            self._used[0] = slot + 1
        else:
            return None
        self._step(slot, FlowStep.RESERVE)
        self.pending += 1
        # In the kept memory before anybody hears of the label.
        generation = (self._generations[slot] + 1) & 0xFF
        self._generations[slot] = generation
        return make_label(slot, generation)

    def assure(self, label: int) -> None:
        """A pending label is ASSURED from now on."""
        self._step(label >> 8, FlowStep.ASSURE)
        self.pending -= 1
        self.assured += 1

    def end(self, label: int, now: Instant) -> None:
        """A pending or assured label is RESTING from now on."""
        slot = label >> 8
        if self._states[slot] == FlowState.PENDING:
            self.pending -= 1
        else:
            self.assured -= 1
        self._step(slot, FlowStep.END)
        self._resting.append((slot, now + REST))

    def state(self, label: int) -> FlowState | None:
        """State of the slot of a label; None if the slot has another generation or does not exist."""
        slot = label >> 8
        if slot >= len(self._states) or self._generations[slot] != label & 0xFF:
            return None
        return FlowState(self._states[slot])

    def _step(self, slot: int, step: FlowStep) -> None:
        self._states[slot] = TRANSITIONS[FlowState(self._states[slot]), step]
