"""The 201 of a new session, which has to arrive."""

from __future__ import annotations

from contextlib import suppress

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ipc.messages.sessions import SessionCreated
from workers.http.problems import Refused
from workers.signaling.fragments import ACCEPT_PATCH
from workers.signaling.offers import SDP
from workers.signaling.switchboard import Switchboard


class AnswerResponse(Response):
    """An answer; if its client has gone before it could be written, the session is ended at once.

    Nobody else knows that session: it would keep its place until its connect time-out. (A peer that
    closes while the answer is on its way cannot be seen from here; such a session is `unclaimed`, and
    makes room when room is needed.)
    """

    def __init__(
        self, switchboard: Switchboard, created: SessionCreated, headers: dict[str, str]
    ) -> None:
        headers = {**headers, **ACCEPT_PATCH, "cache-control": "no-store"}
        if created.ice:
            headers["etag"] = f'"{created.ice}"'
        super().__init__(created.answer, 201, headers, media_type=SDP)
        self._switchboard = switchboard
        self._session = created.session

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write it, or undo what it tells of."""
        written = False
        try:
            await super().__call__(scope, receive, send)
            written = True
        finally:
            if not written:
                with suppress(Refused):  # it is over, or its transceiver is
                    await self._switchboard.end(self._session)
