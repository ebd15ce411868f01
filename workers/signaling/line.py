"""The rpc line to transceivers: one client per end point, kept while the supervisor's table has it."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from types import TracebackType

import trio

from ipc.codec import CodecError
from ipc.messages.sessions import (
    SessionCount,
    SessionCreated,
    SessionEnded,
    SessionPatched,
    SessionRefused,
    SessionsNews,
    SessionUnknown,
)
from ipc.rpc import RpcClient, RpcFailed, RpcTimeout
from workers.http.problems import ProblemKind, Refused
from workers.signaling.switchboard import Gone, NoAnswer, Reply, Request


class RpcLine(AbstractContextManager["RpcLine"]):
    """Opens clients when first needed and closes those of transceivers that are gone."""

    def __init__(self) -> None:
        self._clients: dict[str, RpcClient] = {}

    async def call(self, rpc: str, request: Request, *, within: float) -> Reply:
        """One request, one reply. Raises NoAnswer, and Refused if it is too big to send."""
        client = self._clients.get(rpc)
        if client is None:
            client = self._clients[rpc] = RpcClient(rpc)
        try:
            reply = await client.call(request, within)
        # What rpc says names paths and exceptions of ours: for the log of the transceiver, not the client.
        except RpcTimeout as error:
            raise NoAnswer(f"no reply within {within:g} s") from error
        except RpcFailed as error:
            raise NoAnswer("the transceiver could not work on it") from error
        except trio.ClosedResourceError as error:
            raise Gone("the transceiver is gone") from error
        except CodecError:
            raise Refused(ProblemKind.TOO_LARGE, "the offer does not fit into a message") from None
        match reply:
            case SessionCreated() | SessionPatched() | SessionRefused():
                return reply
            case SessionEnded() | SessionUnknown() | SessionsNews() | SessionCount():
                return reply
            case _:
                raise NoAnswer(f"it answered {type(reply).__name__}")

    def keep(self, rpcs: frozenset[str]) -> None:
        """Close the clients of all other end points."""
        for rpc in self._clients.keys() - rpcs:
            self._clients.pop(rpc).close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with ExitStack() as stack:
            for client in self._clients.values():
                stack.callback(client.close)
