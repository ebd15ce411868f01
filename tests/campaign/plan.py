"""What goes wrong, and when: a schedule that a seed decides. Pure."""

from __future__ import annotations

import random
from enum import StrEnum
from typing import Final, NamedTuple


class Kind(StrEnum):
    """A thing that can go wrong."""

    KILL_RELAY = "kill a relay"
    KILL_TRANSCEIVER = "kill a transceiver"
    KILL_SIGNALING = "kill signaling"
    KILL_SUPERVISOR = "kill the supervisor"
    KILL_BACKEND = "kill a back end"
    STOP_RELAY = "stop a relay for a while"
    STOP_TRANSCEIVER = "stop a transceiver for a while"
    STOP_SIGNALING = "stop signaling for a while"
    STOP_SUPERVISOR = "stop the supervisor for a while"
    ROLL = "replace all workers"
    BAD_FILE = "reload a bad file"
    MORE_RELAYS = "reload with one relay more or less"
    LOSS = "lose a third of the datagrams"
    DUPLICATION = "every datagram twice"
    DISORDER = "datagrams in any order"
    DAMAGE = "a bit wrong in a fifth of the datagrams"
    STRANGERS = "checks and noise of strangers"
    JUNK_HTTP = "connections that say nonsense, or nothing"


WEIGHTS: Final = {
    Kind.KILL_RELAY: 3,
    Kind.KILL_TRANSCEIVER: 1,
    Kind.KILL_SIGNALING: 2,
    Kind.KILL_SUPERVISOR: 2,
    Kind.KILL_BACKEND: 2,
    Kind.STOP_RELAY: 1,
    Kind.STOP_TRANSCEIVER: 1,
    Kind.STOP_SIGNALING: 1,
    Kind.STOP_SUPERVISOR: 1,
    Kind.ROLL: 1,
    Kind.BAD_FILE: 1,
    Kind.MORE_RELAYS: 1,
    Kind.LOSS: 2,
    Kind.DUPLICATION: 1,
    Kind.DISORDER: 1,
    Kind.DAMAGE: 2,
    Kind.STRANGERS: 2,
    Kind.JUNK_HTTP: 1,
}
LASTING: Final = (0.3, 1.5)
"""Seconds, from and to."""


class Fault(NamedTuple):
    """One of them."""

    number: int
    at: float
    """Seconds after the first could come."""
    kind: Kind
    choice: float
    """Which of several, from 0 to 1."""
    seconds: float
    """For how long, where it lasts."""


def plan(seed: int, faults: int, within: float) -> tuple[Fault, ...]:
    """So many in so many seconds, each a little after the one before; the same for the same seed."""
    dice = random.Random(seed)
    kinds, weights = list(WEIGHTS), list(WEIGHTS.values())
    step = within / faults
    return tuple(
        Fault(
            number,
            step * (number + dice.uniform(0.0, 0.8)),
            dice.choices(kinds, weights)[0],
            dice.random(),
            dice.uniform(*LASTING),
        )
        for number in range(faults)
    )
