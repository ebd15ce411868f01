"""Two SCTP associations and the network between them, in virtual time."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from config.ids import Endpoint
from tests.support.network import Leg, Network, Transit
from workers.transceiver.core.sctp.association import Association
from workers.transceiver.core.sctp.interface import (
    AssociationEvent,
    AssociationOutput,
    MessageReceived,
    PacketReceived,
    Parameters,
    SendPacket,
)
from workers.transceiver.core.sctp.states import AssociationState
from workers.transceiver.core.sctp.tally import Tally

A, B = Endpoint("192.0.2.1", 1), Endpoint("192.0.2.2", 2)
Output = TypeVar("Output", bound=AssociationOutput)


class End:
    """One association as a node of the network. `echo` makes it say back what it hears."""

    def __init__(self, network: Network, leg: Leg, here: Endpoint, there: Endpoint, p: Parameters):
        self.network, self.leg, self.here, self.there = network, leg, here, there
        self.tally = Tally()
        self.core = Association(p, network.entropy, self.tally)
        self.outputs: list[AssociationOutput] = []
        self.packets = 0
        self.most_kept = self.most_buffered = 0
        network.listen(leg.name, here, self._arrive)
        network.add(self)

    def start(self) -> None:
        self._carry_out(self.core.start(self.network.now))

    def do(self, event: AssociationEvent) -> list[AssociationOutput]:
        outputs = self.core.handle(event, self.network.now)
        self._carry_out(outputs)
        return outputs

    def of(self, kind: type[Output]) -> list[Output]:
        return [output for output in self.outputs if isinstance(output, kind)]

    @property
    def received(self) -> list[bytes]:
        return [message.payload for message in self.of(MessageReceived)]

    def next_timeout(self) -> float | None:
        return self.core.next_timeout()

    def handle_timeout(self, now: float) -> None:
        self._carry_out(self.core.handle_timeout(now))

    def _arrive(self, transit: Transit) -> None:
        self.do(PacketReceived(transit.datagram))

    def _carry_out(self, outputs: list[AssociationOutput]) -> None:
        for output in outputs:
            if isinstance(output, SendPacket):
                self.packets += 1
                self.network.send(self.leg, self.here, self.there, output.packet)
            else:
                self.outputs.append(output)
        self.most_kept = max(self.most_kept, self.core.kept)
        self.most_buffered = max(self.most_buffered, self.core.buffered)


class Couple:
    """`a` has even channels, `b` odd ones."""

    def __init__(
        self,
        *,
        seed: int = 0,
        delay: float = 0.01,
        jitter: float = 0.0,
        loss: float = 0.0,
        duplication: float = 0.0,
        initiate: tuple[bool, bool] = (True, True),
        a: Parameters | None = None,
        b: Parameters | None = None,
    ) -> None:
        self.network = Network(seed)
        self.leg = Leg("sctp", delay, jitter, loss, duplication)
        a, b = a or Parameters(even=True), b or Parameters(even=False)
        self.a = End(self.network, self.leg, A, B, msgspec.structs.replace(a, initiate=initiate[0]))
        self.b = End(self.network, self.leg, B, A, msgspec.structs.replace(b, initiate=initiate[1]))

    def connect(self, within: float = 30.0) -> Couple:
        self.a.start()
        self.b.start()
        both = (self.a.core, self.b.core)
        self.network.run_until(
            lambda: all(core.state is AssociationState.ESTABLISHED for core in both), within=within
        )
        return self
