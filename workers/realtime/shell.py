"""The realtime worker: a back end of the appliance's own, with a WebSocket for each of its calls."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

import trio

from ipc.backend.call import Call
from ipc.backend.messages import AudioFormat, Encoding, SessionStarted
from ipc.backend.serve import attend
from ipc.backend.serve import serve as serve_calls
from ipc.log import Logger
from ipc.messages.lifecycle import Ready, realtime_endpoint
from ipc.messages.stats import RealtimeStats
from workers.realtime.core.voice import RATE
from workers.realtime.talk import Talk
from workers.realtime.upstream import Upstream, UpstreamFailed, find_server, open_upstream
from workers.worker import Worker

FORMAT: Final = AudioFormat(Encoding.PCM, RATE)


class Bridges:
    """The calls of this worker."""

    def __init__(self, url: str, key_file: str, model: str, log: Logger) -> None:
        self.live = 0
        self.total = 0
        self.failed: Counter[str] = Counter()
        """Calls that the server has ended, by code."""
        self.dropped: Counter[str] = Counter()
        """What was lost or not as it should be, of calls that are over."""
        self.wanted = True
        self._url = url
        self._key_file = key_file
        self._model = model
        self._log = log
        self._changed = trio.Event()

    def key(self) -> str:
        """The key for the server, read anew for each call so that it can be replaced.

        Raises OSError if it cannot be read, ValueError if it is no key.
        """
        if not self._key_file:
            return ""
        words = Path(self._key_file).read_text(encoding="ascii").split()
        if len(words) != 1 or not words[0].isprintable():
            raise ValueError("realtime.api_key_file must have one key in it")
        return words[0]

    def screen(self, started: SessionStarted) -> str:
        """Why a call is not wanted."""
        return "" if self.wanted else "draining"

    async def talk(self, call: Call) -> None:
        """One call."""
        self.live += 1
        self.total += 1
        talk = Talk(call)
        try:
            await talk.run(self._dial)
        finally:
            self.live -= 1
            self.dropped.update(talk.tally())
            self._changed.set()
            self._changed = trio.Event()
        if talk.failure is not None:
            self.failed[talk.failure.code] += 1
            code, why = talk.failure.code, str(talk.failure)
            self._log.warning("server failed", session=call.id, code=code, why=why)

    async def until_empty(self) -> None:
        """Take no calls from now on, and wait for the last one to end."""
        self.wanted = False
        while self.live:
            await self._changed.wait()

    def crashed(self, call: Call, error: Exception) -> None:
        """A call ended by a bug of ours."""
        self.failed["crashed"] += 1
        self._log.error("call crashed", session=call.id, exc_info=error)

    async def _dial(self, model: str) -> Upstream:
        try:
            key = self.key()
        except (OSError, ValueError) as error:
            raise UpstreamFailed("upstream_key", "the key for the server cannot be read") from error
        return await open_upstream(find_server(self._url, self._model or model), key)


async def serve(worker: Worker) -> None:
    """Serve until drained: take no more calls, let those that there are end, return."""
    assignment, config = worker.assignment, worker.config.realtime
    bridges = Bridges(config.url, config.api_key_file, config.model, worker.log)
    bridges.key()  # whoever cannot read it should not be ready
    worker.set_load(lambda: bridges.live)
    worker.set_stats(
        lambda: RealtimeStats(
            worker=assignment.name,
            usage=worker.usage(),
            calls=bridges.live,
            calls_total=bridges.total,
            failed=dict(bridges.failed),
            dropped=dict(bridges.dropped),
        )
    )
    endpoint = realtime_endpoint(assignment.runtime_directory, assignment.index)
    serving = serve_calls(endpoint, name=assignment.name, audio=FORMAT, screen=bridges.screen)
    async with serving as calls, trio.open_nursery() as nursery:
        nursery.start_soon(attend, calls, bridges.talk, bridges.crashed)
        await worker.ready(Ready())
        await worker.draining.wait()
        await bridges.until_empty()
        nursery.cancel_scope.cancel()
