"""One call from beginning to end: tasks that carry between the SDK's call, the bridge and the WebSocket."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, assert_never

import trio

from ipc.backend.call import Call, CallEnded
from ipc.backend.messages import PlaybackEvent
from workers.realtime.core.bridge import Bridge
from workers.realtime.core.interface import (
    Became,
    FromClient,
    FromServer,
    Heard,
    Hush,
    Opened,
    Output,
    Played,
    Say,
    ToClient,
    ToServer,
)
from workers.realtime.upstream import Upstream, UpstreamFailed

CHANNEL: Final = "oai-events"
"""Label of the data channel that has the events."""
MAX_HELD: Final = 64
"""Events for the client that wait for its data channel."""

Dial: TypeAlias = Callable[[str], Awaitable[Upstream]]
"""Opens a WebSocket for that model, or for the server's choice. Raises UpstreamFailed."""


class Talk:
    """A call that is being bridged."""

    def __init__(self, call: Call) -> None:
        self.bridge = Bridge(call.claims, call.buffer)
        self.failure: UpstreamFailed | None = None
        """Why the server is gone."""
        self._call = call
        self._held: deque[str] = deque()

    async def run(self, dial: Dial) -> None:
        """Bridge the call until either end leaves. The call is over then."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._until_ended, nursery.cancel_scope)
                upstream = await dial(self.bridge.model)
                try:
                    await self._join(upstream)
                finally:
                    await upstream.close()
        except* UpstreamFailed as failures:
            self.failure = _first(failures)
        except* CallEnded:
            pass  # the caller has left
        if self.failure is not None and not self._call.ended:
            self._tell(self.bridge.failed(self.failure.code, str(self.failure)).text)
            self._call.hang_up(f"{self.failure.code}: {self.failure}")

    def tally(self) -> dict[str, int]:
        """What was lost or not as it should be, and how often."""
        call, counts = self._call, self.bridge.tally()
        lost = {
            "audio_not_taken": call.audio.dropped,
            "events_not_taken": call.data.dropped,
            "playback_not_taken": call.playback.dropped,
        }
        return counts | {name: count for name, count in lost.items() if count}

    async def _until_ended(self, scope: trio.CancelScope) -> None:
        await self._call.until_ended()
        scope.cancel()

    async def _join(self, upstream: Upstream) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(upstream.write)
            nursery.start_soon(upstream.stay_alive)
            nursery.start_soon(self._tell_held)
            await self._carry_out(self.bridge.handle(Opened()), upstream)
            nursery.start_soon(self._hear, upstream)
            nursery.start_soon(self._read_client, upstream)
            nursery.start_soon(self._follow_playback, upstream)
            while True:
                text = await upstream.receive()
                await self._carry_out(self.bridge.handle(FromServer(text)), upstream)

    # --- from the call ----------------------------------------------------------------------------

    async def _hear(self, upstream: Upstream) -> None:
        async for chunk in self._call.audio:
            if chunk.payload:
                await self._carry_out(self.bridge.handle(Heard(chunk.payload)), upstream)

    async def _read_client(self, upstream: Upstream) -> None:
        async for message in self._call.data:
            if message.channel == self._channel():
                await self._carry_out(self.bridge.handle(FromClient(message.payload)), upstream)

    async def _follow_playback(self, upstream: Upstream) -> None:
        async for news in self._call.playback:
            played = Played(news.item, _BECAME[news.event], news.played)
            await self._carry_out(self.bridge.handle(played), upstream)

    # --- to either end ----------------------------------------------------------------------------

    async def _carry_out(self, outputs: list[Output], upstream: Upstream) -> None:
        for output in outputs:
            match output:
                case ToServer(text=text):
                    await upstream.send(text)
                case ToClient(text=text):
                    self._tell(text)
                case Say():
                    self._call.say(output.pcm, output.name, last=output.last)
                case Hush():
                    self._call.flush()
                case _:
                    assert_never(output)

    def _channel(self) -> int | None:
        channels = self._call.channels
        return next((n for n, opened in channels.items() if opened.label == CHANNEL), None)

    async def _tell_held(self) -> None:
        await self._call.channel(CHANNEL)
        held, self._held = self._held, deque()
        for text in held:
            self._tell(text)

    def _tell(self, text: str) -> None:
        """Send an event to the client; before there is a channel, keep the latest."""
        channel = self._channel()
        if channel is None:
            if len(self._held) == MAX_HELD:
                self._held.popleft()
                self.bridge.counts["events_not_told"] += 1
            self._held.append(text)
            return
        try:
            self._call.send(text, channel)
        except ValueError as error:
            self.bridge.counts["events_too_large"] += 1
            self._call.send(self.bridge.failed("event_too_large", str(error)).text, channel)


_BECAME: Final = {event: Became(event.value) for event in PlaybackEvent}


def _first(group: BaseExceptionGroup[UpstreamFailed]) -> UpstreamFailed:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, UpstreamFailed)
    return error
