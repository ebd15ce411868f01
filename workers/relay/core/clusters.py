"""A Global Relay's view of the clusters: which relays each has, and which of those live. Sans-IO.

A client's flows go to one of the live relays of a cluster, chosen by a hash of the client's address: every
worker and every Global Relay chooses alike, and the loss of one relay moves the clients of that one only
(rendezvous hashing). A flow stays where it is for as long as its relay lives.

Each relay is asked with an ECHO every ASK seconds. One that has not answered for SILENCE is dead until it
answers; a relay that drains does not answer, and is left while it still serves. If none of a cluster's
relays answers, all of them count: a guess is better than nothing.

One that is not told of any more counts until it has been silent for LINGER: whoever tells may have lost
sight of it while it serves.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from hashlib import blake2b
from typing import Final

from config.ids import ClusterId, Endpoint, Instant

ASK: Final = 0.5
SILENCE: Final = 1.75
"""Seconds: three questions without an answer."""
LINGER: Final = 60.0
"""Seconds."""
NUMBERS: Final = 1 << 32


class Clusters:
    """Relays of other clusters by cluster, and since when each has been silent."""

    def __init__(self, relays: Mapping[ClusterId, Sequence[Endpoint]], now: Instant) -> None:
        self._relays: dict[ClusterId, tuple[Endpoint, ...]] = {}
        self._untold: set[Endpoint] = set()
        """Those that are there for no other reason than that they were heard lately."""
        self._heard: dict[Endpoint, Instant] = {}
        """When each was heard last; at first all are taken to live."""
        self._dead: set[Endpoint] = set()
        self._packed: dict[Endpoint, bytes] = {}
        self._next: Instant | None = None
        self._number = 0
        self.replace(relays, now)

    def replace(
        self,
        relays: Mapping[ClusterId, Sequence[Endpoint]],
        now: Instant,
        exact: Container[ClusterId] = (),
    ) -> Sequence[Endpoint]:
        """From now on these; gives those that are none any more. What is known of the others stays.

        `exact`: clusters that have these and no others, whoever answers.
        """
        told = {relay for each in relays.values() for relay in each}
        over = self._silent(now)
        left = {
            cluster: [relay for relay in each if relay not in told | over]
            for cluster, each in self._relays.items()
            if cluster not in exact
        }
        self._untold = {relay for each in left.values() for relay in each}
        return self._use(
            {
                c: (*relays.get(c, ()), *left.get(c, ()))
                for c in sorted(relays.keys() | left.keys())
            },
            now,
        )

    def _silent(self, now: Instant) -> set[Endpoint]:
        return {relay for relay, heard in self._heard.items() if now - heard > LINGER}

    def _use(
        self, relays: Mapping[ClusterId, tuple[Endpoint, ...]], now: Instant
    ) -> list[Endpoint]:
        before, self._relays = self._heard, dict(relays)
        self._heard = {r: before.get(r, now) for each in relays.values() for r in each}
        self._dead &= self._heard.keys()
        self._packed = {relay: relay.pack() for relay in self._heard}
        self._next = (self._next or now) if self._heard else None
        return [relay for relay in before if relay not in self._heard]

    def __contains__(self, relay: Endpoint) -> bool:
        return relay in self._heard

    def choose(
        self, cluster: ClusterId, client: Endpoint, present: Endpoint | None
    ) -> Endpoint | None:
        """The relay for a client; `present` is where its flow leads now, if it has one."""
        relays = self._relays.get(cluster, ())
        live = [relay for relay in relays if relay not in self._dead]
        if present in live or (not live and present in relays):
            return present
        seed, packed = client.pack(), self._packed
        return max(live or relays, key=lambda relay: _weight(seed, packed[relay]), default=None)

    def heard(self, relay: Endpoint, now: Instant) -> None:
        """It has answered."""
        if relay in self._heard:
            self._heard[relay] = now
            self._dead.discard(relay)

    def view(self) -> dict[ClusterId, dict[Endpoint, bool]]:
        """All relays by cluster, and whether each answers."""
        return {
            cluster: {relay: relay not in self._dead for relay in relays}
            for cluster, relays in self._relays.items()
        }

    def next_timeout(self) -> Instant | None:
        """When `ask` has something to do."""
        return self._next

    def ask(self, now: Instant) -> tuple[int, Sequence[Endpoint], Sequence[Endpoint]]:
        """A number and whom to ask with it, and those who have just been found dead."""
        if self._next is None or now < self._next:
            return 0, (), ()
        self._next = now + ASK
        self._number = (self._number + 1) % NUMBERS
        dead = [
            relay
            for relay, heard in self._heard.items()
            if now - heard > SILENCE and relay not in self._dead
        ]
        self._dead.update(dead)
        if self._untold and (gone := self._untold & self._silent(now)):
            self._untold -= gone
            kept = {c: tuple(r for r in each if r not in gone) for c, each in self._relays.items()}
            self._use({cluster: each for cluster, each in kept.items() if each}, now)
        return self._number, tuple(self._heard), dead


def _weight(client: bytes, relay: bytes) -> bytes:
    return blake2b(client, key=relay, digest_size=8).digest()
