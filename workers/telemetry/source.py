"""Asks the supervisor, for everybody who wants to know: one question at a time, its answer shared."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

import trio

from ipc.closing import Closing
from ipc.messages import Message
from ipc.messages.admin import SessionsRequest, StatusReply, StatusRequest
from ipc.messages.sessions import SessionList
from ipc.rpc import RpcClient, RpcFailed, RpcTimeout

WITHIN: Final = 3.0
"""Seconds an answer may take: the supervisor gives transceivers 2 to list their sessions."""
FRESH: Final = 0.5
"""Seconds for which an answer does; workers publish once a second at most."""
SESSIONS_FRESH: Final = 2.0
MOST_SESSIONS: Final = 200
Answer = TypeVar("Answer")


class Source(Closing):
    """What the supervisor says, or None if it does not."""

    def __init__(self, admin: str) -> None:
        """`admin` is its ZeroMQ end point. Raises EndpointError."""
        self.unanswered = 0
        """Questions without an answer."""
        self._client = RpcClient(admin)
        self._status = _Kept(StatusReply, StatusRequest(), FRESH)
        self._sessions = _Kept(SessionList, SessionsRequest(MOST_SESSIONS), SESSIONS_FRESH)

    async def status(self) -> StatusReply | None:
        """How the appliance is, with all counters."""
        return await self._ask(self._status)

    async def sessions(self) -> SessionList | None:
        """The oldest sessions of each transceiver."""
        return await self._ask(self._sessions)

    def close(self) -> None:
        """Ask no more."""
        self._client.close()

    async def _ask(self, kept: _Kept[Answer]) -> Answer | None:
        async with kept.lock:  # who waits here gets the answer that the one before has fetched
            if trio.current_time() >= kept.good_until:
                kept.answer = None
                try:
                    reply = await self._client.call(kept.question, within=WITHIN)
                except (RpcTimeout, RpcFailed):
                    reply = None
                if isinstance(reply, kept.kind):
                    kept.answer = reply
                else:
                    self.unanswered += 1
                kept.good_until = trio.current_time() + kept.fresh
            return kept.answer


class _Kept(Generic[Answer]):
    """A question and its last answer."""

    def __init__(self, kind: type[Answer], question: Message, fresh: float) -> None:
        self.kind = kind
        self.question = question
        self.fresh = fresh
        self.answer: Answer | None = None
        self.good_until = 0.0
        self.lock = trio.Lock()
