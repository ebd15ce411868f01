"""A Global Relay in front of a cluster's two relays, in virtual time.

Client --wan--> Global Relay --link--> relay A or B of cluster 0 --link--> TransceiverHost
"""

from __future__ import annotations

from typing import Final

from config.ids import ClusterId, Endpoint
from tests.support.network import Transit
from tests.support.world import RelayHost, World
from workers.relay.core import interface as relay_core
from workers.relay.core.ways import Neighbours

INGRESS: Final = (Endpoint("10.0.0.1", 3479), Endpoint("10.0.0.2", 3479))
GLOBAL_LINK: Final = Endpoint("10.9.0.1", 7000)
CLUSTER: Final = ClusterId(0)


class TwoTiers(World):
    """`relay` is the Global Relay, `cluster` are the two behind it."""

    def __init__(self, seed: int = 0, *, consent_timeout: float = 30.0) -> None:
        super().__init__(seed, consent_timeout=consent_timeout)
        self.network.remove(self.relay)
        self.relays.clear()
        self.cluster = [self.ingress_relay(n) for n in range(2)]
        self.relay = self.global_relay()

    def global_relay(self) -> RelayHost:
        neighbours = Neighbours(clusters={CLUSTER: INGRESS}, own=ClusterId(9))
        return RelayHost(self, GLOBAL_LINK, neighbours=neighbours)

    def ingress_relay(self, n: int, other: Neighbours | None = None) -> RelayHost:
        own = Neighbours(globals=frozenset({GLOBAL_LINK.host}), own=CLUSTER)
        link = Endpoint(f"10.0.0.{n + 1}", 7000)
        host = RelayHost(self, link, public=(), ingress=INGRESS[n], neighbours=other or own)
        if other is None:
            route, address = self.transceiver.route, self.transceiver.address
            host.handle(relay_core.RouteAdded(route, address))
        return host

    def restart_ingress(self, n: int) -> None:
        """A new process that knows nothing but the routes."""
        self.kill_ingress(n)
        self.cluster[n] = self.ingress_relay(n)

    def kill_ingress(self, n: int) -> None:
        self.network.remove(self.cluster[n])
        self.network.close("link", INGRESS[n])
        self.network.close("link", self.cluster[n].link)

    def clients_of(self, n: int) -> set[Endpoint]:
        """Whose flows go over that relay."""
        link = INGRESS[n]
        flows = self.relay.datapath.by_key.values()
        return {flow.key.client for flow in flows if flow.link == link}

    def serving(self) -> int:
        """Which of the two has the flows."""
        (found,) = [n for n, host in enumerate(self.cluster) if host.datapath.by_key]
        return found

    def restart_transceiver(self) -> None:
        """A new boot, known to the relays of its cluster and to nobody else."""
        old = self.transceiver
        super().restart_transceiver()
        self.relay.handle(relay_core.RouteRemoved(self.transceiver.route))
        for host in self.cluster:
            host.handle(relay_core.RouteRemoved(old.route))
            host.handle(relay_core.RouteAdded(self.transceiver.route, self.transceiver.address))


def forging(transit: Transit) -> list[Transit]:
    """A filter of the link: whatever comes, comes from somebody else."""
    return [transit._replace(source=Endpoint("10.66.0.1", 7000))]
