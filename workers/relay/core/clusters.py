"""A Global Relay's view of the clusters: which relays each has, and which of those live. Sans-IO.

A client's flows go to one of the live relays of a cluster, chosen by a hash of the client's address: every
worker and every Global Relay chooses alike, and the loss of one relay moves the clients of that one only
(rendezvous hashing). A flow stays where it is for as long as its relay lives.

Each relay is asked with an ECHO every ASK seconds. One that has not answered for SILENCE is dead until it
answers; a relay that drains does not answer, and is left while it still serves. If none of a cluster's
relays answers, all of them count: a guess is better than nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Final

from config.ids import ClusterId, Endpoint, Instant

ASK: Final = 0.5
SILENCE: Final = 1.75
"""Seconds: three questions without an answer."""
NUMBERS: Final = 1 << 32


class Clusters:
    """Relays of other clusters by cluster, and since when each has been silent."""

    def __init__(self, relays: Mapping[ClusterId, Sequence[Endpoint]], now: Instant) -> None:
        self._relays: dict[ClusterId, tuple[Endpoint, ...]] = {}
        self._heard: dict[Endpoint, Instant] = {}
        """When each was heard last; at first all are taken to live."""
        self._dead: set[Endpoint] = set()
        self._packed: dict[Endpoint, bytes] = {}
        self._next: Instant | None = None
        self._number = 0
        self.replace(relays, now)

    def replace(
        self, relays: Mapping[ClusterId, Sequence[Endpoint]], now: Instant
    ) -> Sequence[Endpoint]:
        """From now on these; gives those that are none any more. What is known of the others stays."""
        before = self._heard
        self._relays = {cluster: tuple(each) for cluster, each in relays.items()}
        all_ = {relay for each in self._relays.values() for relay in each}
        self._heard = {relay: before.get(relay, now) for relay in sorted(all_)}
        self._dead &= all_
        self._packed = {relay: relay.pack() for relay in self._heard}
        self._next = (self._next or now) if self._heard else None
        return [relay for relay in before if relay not in all_]

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
        return self._number, tuple(self._heard), dead


def _weight(client: bytes, relay: bytes) -> bytes:
    return blake2b(client, key=relay, digest_size=8).digest()
