"""Slots and their generations: who may use which label, and when one may be used again.

A label is a slot and a generation (docs/wire.md, section 2). A slot is reused only after REST seconds,
oldest first, with the next generation; a table that starts empty starts with random generations. So a
record that was under way when its flow ended, or when the relay restarted, meets a label that is not
its own and is dropped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from config.ids import Instant
from workers.relay.core.flow import TRANSITIONS, FlowState, FlowStep
from workers.wire.link import SLOT_BITS, make_label

REST: Final = 35.0
"""Seconds a slot stays unused: longer than a session lives without consent (30 s, RFC 7675)."""


class FlowTable:
    """State and generation of every slot; bounded, and all of it allocated at the start."""

    def __init__(self, capacity: int, entropy: Callable[[int], bytes]) -> None:
        """`capacity`: slots, at most 2^24. `entropy(n)`: n random bytes."""
        if not 0 < capacity < 1 << SLOT_BITS:
            raise ValueError(f"a flow table has 1 to {(1 << SLOT_BITS) - 1} slots")
        self._states = bytearray(capacity)
        self._generations = bytearray(entropy(capacity))
        self._never_used = iter(range(capacity))
        self._resting: deque[tuple[int, Instant]] = deque()
        self.pending = 0
        self.assured = 0

    def reserve(self, now: Instant) -> int | None:
        """Label of a slot that is PENDING from now on, or None if none is free."""
        slot = next(self._never_used, None)
        if slot is None:
            if not self._resting or self._resting[0][1] > now:
                return None
            slot, _ = self._resting.popleft()
            self._step(slot, FlowStep.REST_OVER)
        self._step(slot, FlowStep.RESERVE)
        self.pending += 1
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
