"""One call as a back end sees it: audio to listen to, audio to play, and what else happens meanwhile."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from types import TracebackType
from typing import Final, Generic, NamedTuple, TypeVar, assert_never

import trio

from ipc.backend.messages import (
    MAX_NAME,
    MAX_PAYLOAD,
    AudioFormat,
    AudioIn,
    AudioOut,
    ChannelClosed,
    ChannelOpened,
    ClientHints,
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
    LimitWarning,
    OpenChannel,
    Pause,
    Playback,
    PlaybackEvent,
    Resume,
    SessionEnded,
    SessionStarted,
    Speech,
    Stats,
    ToBackend,
)

MAX_AUDIO: Final = 250
"""Chunks that may wait to be listened to (5 s of 20 ms); then the oldest give way, counted."""
MAX_EVENTS: Final = 256
"""Likewise of everything else, for each kind."""
FRAME: Final = 20
"""Milliseconds of a chunk of Opus or G.711."""

Heard = TypeVar("Heard")


class CallEnded(Exception):
    """The call is over; the text says why."""


class Chunk(NamedTuple):
    """A piece of what the caller said."""

    at: int
    """Milliseconds of media since the session began."""
    payload: bytes
    """In the call's format; empty if it was lost."""
    lost: int
    """Milliseconds that are missing here; 0 if `payload` has them."""


class Inbox(Generic[Heard]):
    """What came and was not taken yet; iterate over it until the call ends."""

    def __init__(self, limit: int) -> None:
        self.dropped = 0
        """Things that nobody took in time."""
        self._waiting: deque[Heard] = deque()
        self._limit = limit
        self._ended = False
        self._arrived = trio.Event()

    def __aiter__(self) -> AsyncIterator[Heard]:
        return self

    async def __anext__(self) -> Heard:
        await trio.lowlevel.checkpoint()
        while not self._waiting:
            if self._ended:
                raise StopAsyncIteration
            await self._arrived.wait()
        thing = self.take_nowait()
        assert thing is not None
        return thing

    @property
    def is_full(self) -> bool:
        """The next thing that comes costs the oldest."""
        return len(self._waiting) >= self._limit

    def take_nowait(self) -> Heard | None:
        """The next one that is there; None if there is none."""
        if not self._waiting:
            return None
        if len(self._waiting) == 1 and not self._ended:
            self._arrived = trio.Event()
        return self._waiting.popleft()

    def put(self, thing: Heard) -> None:
        """Something came."""
        if self.is_full:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(thing)
        self._arrived.set()

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._arrived.set()


class Call:
    """Made by `serve`. Leaving its block, or `hang_up`, ends the call.

    All waiting methods raise CallEnded once the caller, or a limit, has ended it.
    """

    def __init__(
        self, started: SessionStarted, audio: AudioFormat, say: Callable[[FromBackend], None]
    ) -> None:
        self.id: Final = started.session
        self.backend: Final = started.backend
        self.claims: Final = started.claims
        """`session`: what the client said as JSON; `metadata`: of its secret or token; `key`, `secret`,
        `token`: by what it was let in. What is empty is left out."""
        self.client: Final[ClientHints] = started.client
        self.codec: Final = started.codec
        self.resumed: Final = started.resumed
        """Another back end had the call before and died."""
        self.format: Final = audio
        self.audio: Final[Inbox[Chunk]] = Inbox(MAX_AUDIO)
        self.dtmf: Final[Inbox[Dtmf]] = Inbox(MAX_EVENTS)
        self.data: Final[Inbox[DataIn]] = Inbox(MAX_EVENTS)
        self.speech: Final[Inbox[Speech]] = Inbox(MAX_EVENTS)
        self.playback: Final[Inbox[Playback]] = Inbox(MAX_EVENTS)
        self.channels: dict[int, ChannelOpened] = {}
        """Data channels that are open now."""
        self.stats = Stats(started.session)
        """The latest."""
        self.warning: LimitWarning | None = None
        """A limit will end the call."""
        self.ended = ""
        """Why it ended; empty while it lasts."""
        self.refused: Error | None = None
        """The last item of ours that was not heeded."""
        self.buffer: Final = started.buffer
        """Milliseconds of audio that may wait to be played."""
        self._say = say
        self._unplayed: dict[str, float] = {}
        """Milliseconds handed over and not yet played, by item."""
        self._handed: dict[str, float] = {}
        """Milliseconds handed over in all, by item that is not finished."""
        self._flushed: dict[str, None] = {}
        """Items that were not played to their end, the latest MAX_EVENTS."""
        self._items = 0
        self._changed = trio.Event()

    async def __aenter__(self) -> Call:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.hang_up("finished" if kind is None else "failed")

    # --- speak ------------------------------------------------------------------------------------

    async def play(
        self, audio: bytes | Iterable[bytes] | AsyncIterable[bytes], item: str | None = None
    ) -> str:
        """Hand over audio in the call's format; returns its item's name once all is handed over.

        PCM may come in pieces of any length (of whole samples), Opus and G.711 frame by frame. Faster
        than real time is normal: this waits while the buffer of the transceiver is full. What is
        flushed meanwhile is not handed over any more.
        """
        if item is None:
            self._items += 1
            item = f"item-{self._items}"
        _check_name(item)
        self._flushed.pop(item, None)
        if isinstance(audio, bytes):
            audio = [audio]
        if isinstance(audio, AsyncIterable):
            async for piece in audio:
                if not await self._hand_over(piece, item):
                    break
        else:
            for piece in audio:
                if not await self._hand_over(piece, item):
                    break
        self._check()
        if item in self._flushed:
            self.flush(item)  # of what was under way when it was
            return item
        self._unplayed.setdefault(item, 0.0)
        self._say(AudioOut(self.id, b"", item, last=True))
        return item

    def say(self, chunk: bytes, item: str = "", *, last: bool = False, live: bool = False) -> None:
        """Play one chunk after what waits, without waiting: for audio that comes in real time.

        What does not fit into the transceiver's buffer is refused there (`refused`). `last`: the item is
        complete with this chunk, which may be empty. `live`: rather leave some out than be late for
        good, when they come all at once after a stall.
        """
        self._check()
        _check_name(item)
        self._say(AudioOut(self.id, chunk, item, last, live))

    async def played(self, item: str) -> bool:
        """Wait until the last frame of an item has left (True), or it was flushed (False)."""
        while item in self._unplayed:
            self._check()
            await self._changed.wait()
        self._check()
        return item not in self._flushed

    def flush(self, item: str = "") -> None:
        """Stop within one frame and forget what waits of that item, or of all. `playback` tells how
        much was heard."""
        if not self.ended:
            self._say(Flush(self.id, item))

    def pause(self) -> None:
        """Stop within one frame; `resume` goes on from there."""
        if not self.ended:
            self._say(Pause(self.id))

    def resume(self) -> None:
        """Go on after `pause`."""
        if not self.ended:
            self._say(Resume(self.id))

    def press(self, digits: str, duration: int = 100) -> None:
        """Send DTMF."""
        self._check()
        for digit in digits:
            self._say(Dtmf(self.id, digit, duration))

    # --- data channels ----------------------------------------------------------------------------

    def open_channel(self, label: str, protocol: str = "") -> None:
        """Ask for a data channel; it appears in `channels`."""
        self._check()
        self._say(OpenChannel(self.id, label, protocol))

    async def channel(self, label: str = "") -> int:
        """Wait until a data channel is open, of that label if one is given; returns its number."""
        await trio.lowlevel.checkpoint()
        while True:
            self._check()
            for number, opened in self.channels.items():
                if label in ("", opened.label):
                    return number
            await self._changed.wait()

    def send(self, message: str | bytes, channel: int | None = None) -> None:
        """Send text or bytes on a data channel; without a number, on the first one that is open.

        Raises LookupError if there is none.
        """
        self._check()
        if channel is None:
            channel = next(iter(self.channels), None)
        if channel not in self.channels or channel is None:
            raise LookupError("no such data channel is open")
        text = isinstance(message, str)
        payload = message.encode() if isinstance(message, str) else message
        if len(payload) > MAX_PAYLOAD:
            raise ValueError(f"{len(payload)} bytes, at most {MAX_PAYLOAD} fit into a message")
        self._say(DataOut(self.id, channel, payload, text))

    # --- the end ----------------------------------------------------------------------------------

    async def until_ended(self) -> str:
        """Wait for the end of the call; says why it ended."""
        await trio.lowlevel.checkpoint()
        while not self.ended:
            await self._changed.wait()
        return self.ended

    def hang_up(self, reason: str = "") -> None:
        """End the call; nothing happens if it is over."""
        if not self.ended:
            self._say(HangUp(self.id, reason))
            self.hear(SessionEnded(self.id, "hung_up"))

    # --- for serve --------------------------------------------------------------------------------

    def hear(self, item: ToBackend) -> None:
        """An item about this call came."""
        match item:
            case AudioIn():
                self.audio.put(Chunk(item.at, item.payload, item.lost))
            case Dtmf():
                self.dtmf.put(item)
            case DataIn():
                self.data.put(item)
            case Speech():
                self.speech.put(item)
            case Playback():
                self._on_playback(item)
            case ChannelOpened():
                self.channels[item.channel] = item
                self._wake()
            case ChannelClosed():
                self.channels.pop(item.channel, None)
            case Stats():
                self.stats = item
            case LimitWarning():
                self.warning = item
            case Error():
                self.refused = item
            case SessionEnded():
                self.ended = item.reason or "ended"
                for inbox in (self.audio, self.dtmf, self.data, self.speech, self.playback):
                    inbox.end()
                self._wake()
            case Hello() | Heartbeat() | SessionStarted():
                pass  # nobody's, or before the call was made
            case _:
                assert_never(item)

    def _on_playback(self, item: Playback) -> None:
        if item.event is PlaybackEvent.CLEARED:
            self._flushed[item.item] = None
            if len(self._flushed) > MAX_EVENTS:
                del self._flushed[next(iter(self._flushed))]
        if item.event in (PlaybackEvent.DRAINED, PlaybackEvent.CLEARED):
            self._unplayed.pop(item.item, None)
            self._handed.pop(item.item, None)
        elif item.item in self._unplayed:
            handed = self._handed.get(item.item, 0.0)
            self._unplayed[item.item] = max(0.0, handed - item.played)
        self.playback.put(item)
        self._wake()

    async def _hand_over(self, piece: bytes, item: str) -> bool:
        """False if the item has been flushed."""
        step = self._piece_bytes()
        for start in range(0, len(piece), step) if piece else ():
            part = piece[start : start + step]
            duration = self._duration(part)
            while sum(self._unplayed.values()) + duration > max(self.buffer, duration):
                self._check()
                await self._changed.wait()
            self._check()
            if item in self._flushed:
                return False
            self._handed[item] = self._handed.get(item, 0.0) + duration
            self._unplayed[item] = self._unplayed.get(item, 0.0) + duration
            self._say(AudioOut(self.id, part, item))
        await trio.lowlevel.checkpoint()
        return item not in self._flushed

    def _piece_bytes(self) -> int:
        """PCM leaves in pieces of at most 200 ms, frames whole."""
        if self.format.encoding is Encoding.PCM:
            return self.format.rate // 5 * 2
        return MAX_PAYLOAD

    def _duration(self, part: bytes) -> float:
        if self.format.encoding is Encoding.PCM:
            return len(part) / 2 / self.format.rate * 1000
        if self.format.encoding is Encoding.OPUS:
            return FRAME
        return math.ceil(len(part) / 8)

    def _check(self) -> None:
        if self.ended:
            raise CallEnded(self.ended)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


def _check_name(item: str) -> None:
    if len(item) > MAX_NAME:
        raise ValueError(f"{len(item)} characters, at most {MAX_NAME} name an item")
