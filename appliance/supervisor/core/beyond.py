"""Of other clusters: where relays of this host can bring clients, and from whom they may take some."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from config.ids import ClusterId, Endpoint
from config.model import Config
from ipc.messages.fleet import FleetHost
from ipc.messages.routes import ClusterRelays

MOST_CLUSTERS: Final = 256
"""To which one host forwards."""
MOST_INGRESS: Final = 64
"""Relays of a cluster that are used for that: each is asked twice a second whether it lives."""


class Beyond(NamedTuple):
    """For relays. Nobody waits until they know it."""

    clusters: tuple[ClusterRelays, ...] = ()
    global_relays: tuple[str, ...] = ()

    def for_host(self, config: Config) -> Beyond:
        """What of it that host uses: one with a place forwards, one with an ingress is forwarded to."""
        return Beyond(
            self.clusters if config.fleet.site else (),
            self.global_relays if config.cluster.ingress else (),
        )


def look_beyond(hosts: Iterable[FleetHost], own: ClusterId) -> Beyond:
    """All that there is."""
    far = [host for host in hosts if host.cluster != own]
    ingress: dict[ClusterId, set[Endpoint]] = {}
    for host in far:
        if host.ingress is not None:
            ingress.setdefault(host.cluster, set()).add(host.ingress)
    # In one order: all who choose among a cluster's relays choose alike.
    clusters = (
        ClusterRelays(cluster, tuple(sorted(ingress[cluster])[:MOST_INGRESS]))
        for cluster in sorted(ingress)[:MOST_CLUSTERS]
    )
    relays = {link.host for host in far if host.place.site for link in host.relays}
    return Beyond(tuple(clusters), tuple(sorted(relays)))
