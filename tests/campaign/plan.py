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
    KILL_ONLOOKER = "kill the fleet worker, telemetry or the Realtime bridge"
    KILL_SPARE = "kill a spare"
    KILL_BACKEND = "kill a back end"
    STOP_RELAY = "stop a relay for a while"
    STOP_TRANSCEIVER = "stop a transceiver for a while"
    STOP_SIGNALING = "stop signaling for a while"
    STOP_SUPERVISOR = "stop the supervisor for a while"
    STOP_ONLOOKER = "stop the fleet worker, telemetry or the Realtime bridge"
    STOP_BACKEND = "stop a back end, whose queues fill"
    STOP_CALLERS = "stop callers, whose queues fill"
    STOP_LOG = "nobody reads the log"
    ROLL = "replace all workers"
    MORE_RELAYS = "reload with one relay more or less"
    GOOD_FILE = "reload a file with another value"
    BAD_FILE = "reload a bad file"
    UPGRADE = "upgrade to a newer version"
    BAD_UPGRADE = "upgrade to a version that does not start"
    FULL_DISK = "no room on the disk"
    NO_INODES = "no room for another file"
    CLOCK = "step the clock"
    KILL_REDIS = "kill Redis, and start an empty one"
    STOP_REDIS = "stop Redis for a while"
    CUT_REDIS = "cut Redis off"
    JUNK_REDIS = "Redis says nonsense"
    LOSS = "lose a third of the datagrams"
    DUPLICATION = "every datagram twice"
    DISORDER = "datagrams in any order"
    DAMAGE = "a bit wrong in a fifth of the datagrams"
    LINK_LOSS = "lose a fifth between relays and transceivers"
    STRANGERS = "checks and noise of strangers"
    JUNK_HTTP = "connections that say nonsense, or nothing"


class Nature(NamedTuple):
    """What such a thing is like."""

    weight: int
    """How often it comes, beside the others."""
    may_lose: str
    """What it may cost; everything else that it costs is a bug."""
    beside: str = ""
    """What it occupies while it lasts and other things go wrong, too; empty: the next one waits for it."""
    times: float = 1.0
    """Its seconds are so many times as long as others'."""


NATURES: Final = {
    Kind.KILL_RELAY: Nature(6, "datagrams of the moment"),
    Kind.KILL_TRANSCEIVER: Nature(2, "its own sessions; nobody else's"),
    Kind.KILL_SIGNALING: Nature(4, "requests under way"),
    Kind.KILL_SUPERVISOR: Nature(5, "nothing: the next one adopts the workers"),
    Kind.KILL_ONLOOKER: Nature(3, "nothing of a call"),
    Kind.KILL_SPARE: Nature(2, "nothing"),
    Kind.KILL_BACKEND: Nature(
        4,
        "what it would have said; its calls go on at another one within 2 s",
        beside="back ends",
    ),
    Kind.STOP_RELAY: Nature(3, "datagrams of the moment"),
    Kind.STOP_TRANSCEIVER: Nature(3, "datagrams of the moment"),
    Kind.STOP_SIGNALING: Nature(2, "requests under way"),
    Kind.STOP_SUPERVISOR: Nature(2, "nothing"),
    Kind.STOP_ONLOOKER: Nature(2, "nothing of a call"),
    Kind.STOP_BACKEND: Nature(
        3, "what it would have said; after 2 s as if killed", beside="back ends", times=2.5
    ),
    Kind.STOP_CALLERS: Nature(2, "audio of that time", beside="callers"),
    Kind.STOP_LOG: Nature(2, "log lines, which are counted", beside="log", times=2.0),
    Kind.ROLL: Nature(2, "nothing"),
    Kind.MORE_RELAYS: Nature(3, "nothing"),
    Kind.GOOD_FILE: Nature(2, "nothing"),
    Kind.BAD_FILE: Nature(3, "nothing, and nothing changes"),
    Kind.UPGRADE: Nature(1, "nothing"),
    Kind.BAD_UPGRADE: Nature(1, "nothing, and nothing changes"),
    Kind.FULL_DISK: Nature(
        4, "log lines; who dies meanwhile is replaced, if not at once then after it", beside="disk"
    ),
    Kind.NO_INODES: Nature(
        2, "who dies meanwhile is replaced, if not at once then after it", beside="disk"
    ),
    Kind.CLOCK: Nature(4, "nothing"),
    Kind.KILL_REDIS: Nature(3, "nothing", beside="Redis"),
    Kind.STOP_REDIS: Nature(2, "nothing", beside="Redis", times=2.0),
    Kind.CUT_REDIS: Nature(3, "nothing", beside="Redis", times=2.0),
    Kind.JUNK_REDIS: Nature(3, "nothing", beside="Redis", times=2.0),
    Kind.LOSS: Nature(4, "audio packets; no message of a data channel", beside="weather"),
    Kind.DUPLICATION: Nature(2, "nothing", beside="weather"),
    Kind.DISORDER: Nature(2, "nothing", beside="weather"),
    Kind.DAMAGE: Nature(4, "audio packets; no message of a data channel", beside="weather"),
    Kind.LINK_LOSS: Nature(4, "audio packets; no message of a data channel", beside="link"),
    Kind.STRANGERS: Nature(3, "nothing", beside="strangers"),
    Kind.JUNK_HTTP: Nature(2, "nothing", beside="strangers"),
}
LASTING: Final = (0.3, 1.5)
"""Seconds, from and to, of what lasts one time as long."""


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

    def __str__(self) -> str:
        return f"{self.number + 1:3} {self.at:6.1f} s {self.kind}"


def plan(seed: int, faults: int, within: float) -> tuple[Fault, ...]:
    """So many in so many seconds, each a little after the one before; the same for the same seed.

    Of so many that each kind could come, each does. It does not ask what this machine can do: what it
    cannot is left out, and the rest stays as it is.
    """
    dice = random.Random(seed)
    weights = [nature.weight for nature in NATURES.values()]
    kinds = list(NATURES) if faults >= len(NATURES) else []
    kinds += dice.choices(list(NATURES), weights, k=faults - len(kinds))
    dice.shuffle(kinds)
    step = within / faults
    found = []
    for number, kind in enumerate(kinds):
        at = step * (number + dice.uniform(0.0, 0.8))
        seconds = dice.uniform(*LASTING) * NATURES[kind].times
        found.append(Fault(number, at, kind, dice.random(), seconds))
    return tuple(found)
