"""What a worker is given at its start: its assignment, its sockets, and a relay its table of flows."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TypeAlias

from appliance.supervisor.addresses import advertised
from appliance.supervisor.binding import BoundSocket, bind_link, bind_ops
from appliance.supervisor.core.interface import ProcessId, Spawn
from appliance.supervisor.generations import Generations
from appliance.supervisor.keys import Keyring, UfragKeys
from appliance.supervisor.recovered import Recovered
from appliance.supervisor.sockets import Sockets, open_sockets
from appliance.supervisor.store import Store
from appliance.supervisor.tables import Tables
from config.ids import Endpoint, HostId, Role, WorkerName
from config.model import Config
from ipc.handover import MAX_DESCRIPTORS
from ipc.messages.lifecycle import (
    NOWHERE,
    PROTOCOL_VERSION,
    Assignment,
    Descriptor,
    DescriptorKind,
    realtime_endpoint,
)


class Outfit(NamedTuple):
    """An assignment and what goes with it, in the order of its descriptors."""

    assignment: Assignment
    sockets: list[int | socket.socket]


_Given: TypeAlias = tuple[Descriptor, int | socket.socket]


def _given(kind: DescriptorKind, bound: BoundSocket) -> _Given:
    return Descriptor(kind, bound.endpoint), bound.socket


class Outfitter:
    """Makes outfits from what the supervisor holds."""

    def __init__(
        self,
        keys: UfragKeys,
        generations: Generations,
        workers: Path,
        *,
        control: str,
        bus: str,
        host: HostId,
        admin: str,
    ) -> None:
        self.sockets = Sockets()
        """Empty until the addresses could be bound."""
        self.recovered = Recovered()
        """What came back from the workers of a dead supervisor and has no place yet."""
        self.keyring = Keyring(keys)
        self._minting: dict[ProcessId, str] = {}
        self._tables = Tables()
        self._store = Store()
        self._generations = generations
        self._workers = workers
        self._control = control
        self._bus = bus
        self._host = host
        self._admin = admin

    def adopt(self, process: ProcessId, assignment: Assignment, fds: Sequence[int]) -> None:
        """A worker of a dead supervisor is ours now, and so is what it brought. Raises ValueError."""
        self.keyring.add(UfragKeys(assignment.ufrag_keys, assignment.mint_with))
        if assignment.role is Role.TRANSCEIVER:
            self._minting[process] = assignment.mint_with
        self.recovered.take(assignment, fds)

    def take_stored(self, stored: Sequence[tuple[str, int]], *, fits: bool) -> None:
        """What systemd has kept: of use where no worker has brought the same, if it fits at all."""
        self._store.found({name for name, _ in stored})
        for name, fd in stored:
            if fits:
                self.recovered.take_stored(name, fd)
            else:
                os.close(fd)
        self.recovered.finish()

    def store(self) -> None:
        """Have systemd keep what is in use now."""
        self._store.keep(
            {f"table.{index}": [fd] for index, fd in self._tables.by_index().items()}
            | self.sockets.by_name()
        )

    def end_store(self) -> None:
        """Have systemd keep nothing any more."""
        self._store.end()

    def open(self, config: Config, own: Sequence[str], relays: int) -> None:
        """Have all sockets, those that came back and new ones. Raises CannotStart."""
        self.sockets = open_sockets(config, own, relays, self.recovered)
        self._tables.take_back(self.recovered.tables)
        self.recovered = Recovered()

    def close(self) -> None:
        """Close what the supervisor kept for its workers."""
        self.sockets.close()
        self.recovered.close()
        self._tables.close()

    def prepare(self, relays: int) -> tuple[tuple[Endpoint, ...], ...]:
        """Have sockets for so many relays, or for more; gives the link addresses. Raises OSError."""
        self.sockets.prepare(relays)
        return self.sockets.link_addresses()

    def unprepare(self) -> None:
        """Close the sockets of relays that are not to be after all."""
        self.sockets.keep(self.sockets.joined)

    def tables_for(self, index: int, known: Collection[int]) -> dict[int, int]:
        """Of all siblings of that relay but those: their tables, by index. Raises OSError."""
        others = [n for n in range(len(self.sockets.links)) if n != index and n not in known]
        return dict(zip(others, self._tables.readers(others), strict=True))

    def steer(self, relays: int) -> str:
        """Let the first so many relays get all datagrams; gives the problem, if there is one."""
        try:
            self.sockets.steer(relays)
        except OSError as error:
            return f"datagrams cannot be steered to {relays} relays: {error.strerror}"
        self.store()
        return ""

    def keep(self, relays: int) -> None:
        """Close and free what was kept for any but the first so many relays."""
        self.sockets.keep(relays)
        self._tables.keep(relays)
        self.store()

    def advertise(self, config: Config) -> tuple[Endpoint, ...]:
        """Relay addresses for answers."""
        return advertised(config.relay.advertise, self.sockets.listening())

    def advertise_tcp(self, config: Config) -> tuple[Endpoint, ...]:
        """The same of ICE-TCP, if it is served; without relays here nobody but the operator knows."""
        if not config.has_relays:
            return config.relay.tcp_advertise if config.relay.tcp else ()
        listening = [bound.endpoint for bound in self.sockets.tcp]
        return advertised(config.relay.tcp_advertise, listening) if listening else ()

    @property
    def minting(self) -> tuple[tuple[WorkerName, str], ...]:
        """Living transceivers, each with the id of the key that it mints with."""
        return tuple((process.name, key_id) for process, key_id in self._minting.items())

    def drop_keys(self, wanted: UfragKeys) -> None:
        """Have only these keys for ufrags, and those that living transceivers mint with."""
        self.keyring.drop(wanted, set(self._minting.values()))

    def forget(self, process: ProcessId) -> None:
        """It has ended."""
        self._minting.pop(process, None)

    @contextmanager
    def outfit(self, spawn: Spawn) -> Iterator[Outfit]:
        """An outfit for one process. Sockets that are for this process alone are closed behind it.

        Raises OSError if there is no number or no socket for it.
        """
        spec = spawn.spec
        self._generations.keep(spawn.process.generation)
        given, own = self._sockets(spawn)
        minting = self.keyring.minting(spawn.config.ufrag)
        if spec.role is Role.TRANSCEIVER:
            self._minting[spawn.process] = minting
        try:
            assignment = Assignment(
                version=PROTOCOL_VERSION,
                name=spec.name,
                role=spec.role,
                index=spec.index,
                generation=spawn.process.generation,
                config=spawn.config.model_dump_json(),
                control=self._control,
                bus=self._bus,
                admin=self._admin,
                runtime_directory=str(self._workers),
                descriptors=tuple(descriptor for descriptor, _ in given),
                ufrag_keys=self.keyring.keys,
                mint_with=minting,
                advertise=self.advertise(spawn.config),
                cpu=spec.cpu,
                route=spawn.route,
                advertise_tcp=self.advertise_tcp(spawn.config),
                peers=tuple(chain.from_iterable(self.sockets.link_addresses())),
                realtime=tuple(realtime_endpoint(str(self._workers), n) for n in spawn.realtime),
                host=self._host,
            )
            yield Outfit(assignment, [each for _, each in given])
        except BaseException:
            self.forget(spawn.process)  # it was never born
            raise
        finally:
            for each in own:
                each.close()

    def _sockets(self, spawn: Spawn) -> tuple[list[_Given], list[socket.socket]]:
        """What is handed to a worker, and the sockets among it that nobody else keeps."""
        index = spawn.spec.index
        match spawn.spec.role:
            case Role.RELAY:
                kinds = {self.sockets.ingress: DescriptorKind.INGRESS}
                given = [
                    _given(kinds.get(b.endpoint, DescriptorKind.PUBLIC), b)
                    for b in self.sockets.public[index]
                ]
                given.append(_given(DescriptorKind.LINK, self.sockets.links[index]))
                given += [_given(DescriptorKind.TCP, b) for b in self.sockets.tcp]
                tcp_links = self.sockets.tcp_links[index : index + 1]
                given += [_given(DescriptorKind.TCP_LINK, b) for b in tcp_links]
                for entry, exit_ in self.sockets.estates[index : index + 1]:
                    given.append((Descriptor(DescriptorKind.ESTATE_IN, NOWHERE), entry))
                    given.append((Descriptor(DescriptorKind.ESTATE_OUT, NOWHERE), exit_))
                room = MAX_DESCRIPTORS - len(given)
                tables = self._tables.of(index, len(self.sockets.links), room)
                self.store()
                return given + tables, []
            case Role.TRANSCEIVER:
                # A link socket per boot: what was sent to a dead process never reaches its successor.
                config = spawn.config
                link = bind_link(config.link.address, config.relay.receive_buffer)
                return [_given(DescriptorKind.LINK, link)], [link.socket]
            case Role.SIGNALING:
                return [_given(DescriptorKind.HTTP, b) for b in self.sockets.http], []
            case Role.REALTIME | Role.FLEET:
                return [], []  # they bind what they need themselves
            case Role.TELEMETRY:
                # Bound when it is needed: a port that is taken must not keep calls from being served.
                ops = bind_ops(spawn.config.ops.listen)
                return [_given(DescriptorKind.HTTP, b) for b in ops], [b.socket for b in ops]
