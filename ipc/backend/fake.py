"""A caller in memory, for the tests of whoever writes an agent: no socket, no transceiver, no audio device.

caller = FakeCaller()
nursery.start_soon(agent, caller.call)
caller.speak(b"...")
caller.listen(1000)
assert caller.heard == b"..."
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Final, assert_never

import trio

from ipc.backend.call import FRAME, Call
from ipc.backend.messages import (
    Accept,
    AudioFormat,
    AudioIn,
    AudioOut,
    ChannelOpened,
    Credit,
    DataIn,
    DataOut,
    Dtmf,
    Encoding,
    Error,
    Flush,
    FromBackend,
    HangUp,
    Heartbeat,
    Hello,
    OpenChannel,
    Pause,
    Playback,
    PlaybackEvent,
    Reject,
    Resume,
    SessionEnded,
    SessionStarted,
    Speech,
)


class FakeCaller:
    """The other end of a `Call`. What the agent plays waits until `listen` lets time pass."""

    def __init__(
        self,
        *,
        audio: AudioFormat | None = None,
        claims: Mapping[str, Any] | None = None,
        buffer: int = 10_000,
        backend: str = "fake",
        session: str = "rtc_0_fake",
    ) -> None:
        self.audio: Final = audio or AudioFormat()
        self.said: list[FromBackend] = []
        """Everything the agent did, in order."""
        self.heard = bytearray()
        """What it played and this caller has listened to."""
        self.messages: list[str | bytes] = []
        """What it sent on data channels."""
        self.digits = ""
        """What it pressed."""
        self.hung_up = False
        self._at = 0
        self._queue: deque[AudioOut] = deque()
        self._played: dict[str, int] = {}
        self._paused = False
        self._changed = trio.Event()
        started = SessionStarted(
            session, backend, dict(claims or {}), codec="opus", data=True, buffer=buffer
        )
        self.call: Final = Call(started, self.audio, self._on_said)

    # --- what the caller does ---------------------------------------------------------------------

    def speak(self, payload: bytes, duration: int = FRAME) -> None:
        """Say one chunk."""
        self.call.hear(AudioIn(self.call.id, self._at, payload))
        self._at += duration

    def mumble(self, duration: int = FRAME) -> None:
        """Something was lost on the way."""
        self.call.hear(AudioIn(self.call.id, self._at, lost=duration))
        self._at += duration

    def talk(self, *, active: bool) -> None:
        """Begin, or cease, to speak, as voice activity detection tells it."""
        self.call.hear(Speech(self.call.id, active, self._at))

    def press(self, digits: str) -> None:
        """Press keys."""
        for digit in digits:
            self.call.hear(Dtmf(self.call.id, digit))

    def open_channel(self, label: str = "chat") -> None:
        """Open a data channel."""
        self.call.hear(ChannelOpened(self.call.id, len(self.call.channels), label))

    def send(self, message: str | bytes, channel: int = 0) -> None:
        """Send on a data channel."""
        text = isinstance(message, str)
        payload = message.encode() if isinstance(message, str) else message
        self.call.hear(DataIn(self.call.id, channel, payload, text))

    def hang_up(self) -> None:
        """Leave."""
        self.call.hear(SessionEnded(self.call.id, "peer_closed"))

    def listen(self, milliseconds: int) -> None:
        """Let that much of what the agent has handed over play."""
        while self._queue and not self._paused:
            chunk = self._queue[0]
            duration = self._duration(chunk.payload)
            if duration > milliseconds:
                return
            self._queue.popleft()
            milliseconds -= duration
            if chunk.item not in self._played:
                self._tell(PlaybackEvent.STARTED, chunk.item)
            self.heard += chunk.payload
            self._played[chunk.item] = self._played.get(chunk.item, 0) + duration
            self._tell(PlaybackEvent.DRAINED if chunk.last else PlaybackEvent.PROGRESS, chunk.item)

    async def until_said(self, kind: type[FromBackend]) -> FromBackend:
        """The first thing of that kind that the agent did, or does."""
        while True:
            found = next((item for item in self.said if isinstance(item, kind)), None)
            if found is not None:
                return found
            await self._changed.wait()

    # --- what the agent does ----------------------------------------------------------------------

    def _on_said(self, item: FromBackend) -> None:
        self.said.append(item)
        match item:
            case AudioOut():
                self._queue.append(item)
            case Flush():
                self._flush(item.item)
            case Pause():
                self._paused = True
            case Resume():
                self._paused = False
            case Dtmf():
                self.digits += item.digit
            case OpenChannel():
                opened = ChannelOpened(
                    self.call.id, len(self.call.channels), item.label, item.protocol
                )
                self.call.hear(opened)
            case DataOut():
                self.messages.append(item.payload.decode() if item.text else item.payload)
            case HangUp():
                self.hung_up = True
            case Hello() | Heartbeat() | Credit() | Error() | Accept() | Reject():
                pass  # of the link, not of the call
            case _:
                assert_never(item)
        self._changed.set()
        self._changed = trio.Event()

    def _flush(self, item: str) -> None:
        gone = {chunk.item for chunk in self._queue if item in ("", chunk.item)}
        self._queue = deque(chunk for chunk in self._queue if chunk.item not in gone)
        for name in sorted(gone):
            self._tell(PlaybackEvent.CLEARED, name)

    def _tell(self, event: PlaybackEvent, item: str) -> None:
        self.call.hear(Playback(self.call.id, event, item, self._played.get(item, 0)))

    def _duration(self, payload: bytes) -> int:
        if not payload:
            return 0
        if self.audio.encoding is Encoding.PCM:
            return len(payload) * 500 // self.audio.rate
        return FRAME
