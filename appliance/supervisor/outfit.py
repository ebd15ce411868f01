"""What a worker is given at its start: its assignment, and the sockets that are its own."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from appliance.supervisor.core.interface import Spawn
from appliance.supervisor.generations import Generations
from appliance.supervisor.keys import UfragKeys
from appliance.supervisor.sockets import BoundSocket, Sockets, bind_link
from config.ids import Endpoint, Role
from config.model import Config
from ipc.messages.lifecycle import PROTOCOL_VERSION, Assignment, Descriptor, DescriptorKind


class Outfit(NamedTuple):
    """An assignment and its sockets, in the order of its descriptors."""

    assignment: Assignment
    sockets: list[socket.socket]


class Outfitter:
    """Makes outfits from what the supervisor holds."""

    def __init__(
        self,
        config: Config,
        keys: UfragKeys,
        generations: Generations,
        workers: Path,
        *,
        control: str,
        bus: str,
    ) -> None:
        self.sockets = Sockets()
        """Empty until the addresses could be bound."""
        self.advertise: tuple[Endpoint, ...] = ()
        self._config = config
        self._config_json = config.model_dump_json()
        self._keys = keys
        self._generations = generations
        self._workers = workers
        self._control = control
        self._bus = bus

    def close(self) -> None:
        """Close what the supervisor kept for its workers."""
        self.sockets.close()

    @contextmanager
    def outfit(self, spawn: Spawn) -> Iterator[Outfit]:
        """An outfit for one process. Sockets that are for this process alone are closed behind it.

        Raises OSError if there is no number or no link socket for it.
        """
        spec = spawn.spec
        self._generations.keep(spawn.process.generation)
        given, own = self._sockets(spec.role, spec.index)
        try:
            assignment = Assignment(
                version=PROTOCOL_VERSION,
                name=spec.name,
                role=spec.role,
                index=spec.index,
                generation=spawn.process.generation,
                config=self._config_json,
                control=self._control,
                bus=self._bus,
                runtime_directory=str(self._workers),
                descriptors=tuple(Descriptor(kind, bound.endpoint) for kind, bound in given),
                ufrag_keys=self._keys.keys,
                mint_with=self._keys.mint_with,
                advertise=self.advertise,
                cpu=spec.cpu,
                route=spawn.route,
            )
            yield Outfit(assignment, [bound.socket for _, bound in given])
        finally:
            for bound in own:
                bound.socket.close()

    def _sockets(
        self, role: Role, index: int
    ) -> tuple[list[tuple[DescriptorKind, BoundSocket]], list[BoundSocket]]:
        """The sockets for a worker, and those among them that nobody else keeps."""
        match role:
            case Role.RELAY:
                public = [(DescriptorKind.PUBLIC, b) for b in self.sockets.public[index]]
                return [*public, (DescriptorKind.LINK, self.sockets.links[index])], []
            case Role.TRANSCEIVER:
                # A link socket per boot: what was sent to a dead process never reaches its successor.
                link = bind_link(self._config.link.address, self._config.relay.receive_buffer)
                return [(DescriptorKind.LINK, link)], [link]
            case Role.SIGNALING:
                return [(DescriptorKind.HTTP, b) for b in self.sockets.http], []
