"""The rpc line to transceivers: one client per end point, kept while the supervisor's table has it.

To those of other hosts it leads through the door of their host's signaling, encrypted.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType

import trio

from ipc.codec import CodecError
from ipc.messages.fleet import FleetDoor
from ipc.messages.sessions import (
    SessionCount,
    SessionCreated,
    SessionEnded,
    SessionPatched,
    SessionRefused,
    SessionsNews,
    SessionUnknown,
)
from ipc.messages.sidebands import SidebandDone, SidebandsRead
from ipc.rpc import RpcClient, RpcFailed, RpcTimeout
from workers.http.problems import ProblemKind, Refused
from workers.signaling.membership import Membership
from workers.signaling.switchboard import Gone, Interrupted, NoAnswer, Reply, Request


class RpcLine(AbstractContextManager["RpcLine"]):
    """Opens clients when first needed and closes those of transceivers that are gone."""

    def __init__(self, membership: Membership | None = None) -> None:
        """`membership`: who we are for other hosts; None: they are not asked."""
        self._membership = membership
        self._doors: Mapping[str, FleetDoor] = {}
        self._clients: dict[str, RpcClient] = {}

    async def call(self, rpc: str, request: Request, *, within: float) -> Reply:
        """One request, one reply. Raises NoAnswer, and Refused if it is too big to send."""
        client = self._clients.get(rpc)
        if client is None:
            client = self._clients[rpc] = self._open(rpc)
        try:
            reply = await client.call(request, within)
        # What rpc says names paths and exceptions of ours: for the log of the transceiver, not the client.
        except RpcTimeout as error:
            raise NoAnswer(f"no reply within {within:g} s") from error
        except RpcFailed as error:
            raise NoAnswer("the transceiver could not work on it") from error
        except trio.ClosedResourceError as error:
            if rpc in self._doors:
                raise Interrupted("the signaling of its host has just been replaced") from error
            raise Gone("the transceiver is gone") from error
        except CodecError:
            raise Refused(ProblemKind.TOO_LARGE, "the offer does not fit into a message") from None
        match reply:
            case SessionCreated() | SessionPatched() | SessionRefused():
                return reply
            case SessionEnded() | SessionUnknown() | SessionsNews() | SessionCount():
                return reply
            case SidebandDone() | SidebandsRead():
                return reply
            case _:
                raise NoAnswer(f"it answered {type(reply).__name__}")

    def keep(self, rpcs: frozenset[str], doors: Mapping[str, FleetDoor]) -> None:
        """Close the clients of all other end points, and of doors that somebody else has opened since."""
        last = self._doors
        same = {rpc for rpc, door in doors.items() if rpc in last and _same(door, last[rpc])}
        self._doors = doors
        for rpc in self._clients.keys() - rpcs - same:
            self._clients.pop(rpc).close()

    def _open(self, rpc: str) -> RpcClient:
        door = self._doors.get(rpc)
        if door is None:
            return RpcClient(rpc)
        curve = self._membership.curve(door.key) if self._membership else None
        if curve is None:
            raise NoAnswer("that host has other keys than ours")
        return RpcClient(rpc, curve=curve)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with ExitStack() as stack:
            for client in self._clients.values():
                stack.callback(client.close)


def _same(one: FleetDoor, other: FleetDoor) -> bool:
    """What is asked at one is answered at the other."""
    return (one.key, one.opened) == (other.key, other.opened)
