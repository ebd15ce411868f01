"""Operators on other hosts: the admin socket again, over TCP, for those whose key is known here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import trio

from appliance.supervisor.own_keys import write_private
from appliance.supervisor.problems import CannotStart
from config.ids import Endpoint
from ipc.closing import Closing
from ipc.curve import KeyPair, read_secret
from ipc.door import Door
from ipc.log import Logger
from ipc.lost import Losses
from ipc.rpc import Handler, RpcServer
from ipc.zmq_trio import key_pair_of, make_key_pair

LIMIT: Final = 32
"""Requests in work at an address."""
_KEY: Final = "admin.key"


def server_keys(state: Path) -> KeyPair:
    """The host's own pair for CURVE, made at first use. Raises CannotStart."""
    path = state / _KEY
    try:
        if not path.exists():
            write_private(path, make_key_pair().secret + "\n")
        return key_pair_of(read_secret(path))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise CannotStart([f"{path}: {why}"]) from None


class Remote(Closing):
    """Listens from construction on. Raises EndpointError if an address cannot be had, else CannotStart."""

    def __init__(
        self,
        listen: tuple[Endpoint, ...],
        clients: Callable[[], Mapping[str, str]],
        state: Path,
        *,
        within: float,
        log: Logger,
        lost: Losses,
    ) -> None:
        """`clients`: name -> public key of those who may come in now."""
        self._stack = ExitStack()
        self._doors: list[Door] = []
        self._servers: list[RpcServer] = []
        if not listen:
            return
        keys = server_keys(state)
        try:
            self._doors.append(self._stack.enter_context(Door(clients, log)))
            for endpoint in listen:
                server = RpcServer(
                    f"tcp://{endpoint}",
                    log=log,
                    limit=LIMIT,
                    within=within,
                    secret=keys.secret,
                    lost=lost,
                )
                self._servers.append(self._stack.enter_context(server))
        except BaseException:
            self._stack.close()
            raise
        where = [str(endpoint) for endpoint in listen]
        log.info("operators may come in", listen=where, server_key=keys.public)

    async def serve(self, handler: Handler) -> None:
        """Answer until cancelled, as the admin socket does."""
        async with trio.open_nursery() as nursery:
            for door in self._doors:
                nursery.start_soon(door.serve)
            for server in self._servers:
                nursery.start_soon(server.serve, handler)

    def close(self) -> None:
        """Stop listening."""
        self._stack.close()
