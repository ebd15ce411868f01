"""What transceivers and back ends say to each other (docs/backend.md): one closed, tagged union of items.

A back end binds a ROUTER, transceivers connect DEALERs. One ZeroMQ message of one frame carries a batch:
a msgpack array of items, each a map with its kind under `type`. Fields are only ever added, with defaults;
unknown fields are skipped.

    transceiver                                   back end
        hello  --------------------------------->
               <---------------------------------  hello
        session_started ------------------------>
               <---------------------------------  accept (or reject)
        audio_in, dtmf, data_in, speech -------->
               <---------------------------------  audio_out, flush, pause, data_out, hang_up
        playback ------------------------------->
        session_ended -------------------------->

Times within a session are whole milliseconds of media since it began.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any, Final, TypeAlias

import msgspec

from ipc.backend.vad import Vad

VERSION: Final = 1
"""Of the protocol; a peer that says another is told so and left alone."""
HEARTBEAT: Final = 0.5
"""Seconds between two items of any kind, at least a heartbeat."""
SILENCE: Final = 1.5
"""Seconds without one after which the other end counts as dead."""
MAX_PAYLOAD: Final = 64 * 1024
"""Bytes of one payload of audio or data."""
MAX_CLAIMS: Final = 16 * 1024
"""Bytes of the claims of one session, encoded."""
MAX_NAME: Final = 256
"""Characters of the name of an item of audio; of a back end's own so many are shown."""
MAX_REASON: Final = 128
"""Characters of a reason that go further."""


class Item(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    tag_field="type",
    tag=lambda name: re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower(),
):
    """Base of all items; the kind on the wire is the class name in snake_case."""


class Encoding(StrEnum):
    """How audio is written. One 20 ms frame a chunk, except PCM, of which a chunk may have any length."""

    OPUS = "opus"
    PCM = "pcm_s16le"
    PCMU = "pcmu"
    PCMA = "pcma"


class AudioFormat(msgspec.Struct, frozen=True):
    """Audio of one session, the same in both directions; one channel."""

    encoding: Encoding = Encoding.OPUS
    rate: int = 48_000
    """Samples per second: 48000 for Opus, 8000 for PCMU and PCMA, 16000, 24000 or 48000 for PCM."""

    @property
    def valid(self) -> bool:
        """Whether that encoding has that rate."""
        return self.rate in RATES[self.encoding]


RATES: Final = {
    Encoding.OPUS: (48_000,),
    Encoding.PCM: (16_000, 24_000, 48_000),
    Encoding.PCMU: (8_000,),
    Encoding.PCMA: (8_000,),
}


# --- both ways ------------------------------------------------------------------------------------


class Hello(Item, frozen=True):
    """The first item either way, and again after every reconnection."""

    name: str
    """Who speaks, for logs: `transceiver-0@edge-3`, `agent`."""
    version: int = VERSION
    instance: str = ""
    """Another one, another process: sessions given to the last one are gone."""
    audio: AudioFormat = AudioFormat()
    """From a back end: the format for whoever accepts without naming one."""
    capacity: int = 0
    """From a back end: sessions it will take at a time, from all transceivers; 0 sets no limit."""


class Heartbeat(Item, frozen=True):
    """Alive."""


class Credit(Item, frozen=True):
    """The receiver of this may send so many more `audio_in` items; it begins with none."""

    items: int


class ErrorCode(StrEnum):
    """What was wrong with an item."""

    VERSION = "version"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    UNKNOWN_SESSION = "unknown_session"
    UNEXPECTED = "unexpected"
    UNSUPPORTED_FORMAT = "unsupported_format"
    UNSUPPORTED_VAD = "unsupported_vad"
    AUDIO_FLOOD = "audio_flood"
    UNKNOWN_CHANNEL = "unknown_channel"
    DATA_FLOOD = "data_flood"
    """More than can wait for a client that reads slowly."""


class Error(Item, frozen=True):
    """Your item was not heeded. Never answered with an error."""

    code: ErrorCode
    detail: str = ""
    session: str = ""
    """The one concerned; empty if none."""


class Dtmf(Item, frozen=True):
    """The caller has pressed a key; or, to the transceiver: press this one (RFC 4733)."""

    session: str
    digit: str
    """One of `0123456789*#ABCD`."""
    duration: int = 100


# --- to the back end ------------------------------------------------------------------------------


class ClientHints(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of the client; to be believed like a business card."""

    address: str = ""
    """`address:port` of the selected path, IPv6 in brackets."""
    user_agent: str = ""
    origin: str = ""


class SessionStarted(Item, frozen=True):
    """A session is connected and is offered to you: accept or reject it."""

    session: str
    backend: str
    """The name by which the client asked."""
    claims: dict[str, Any] = {}
    """`session`: what the client said as JSON; `metadata`: of its secret or token; `key`, `secret` and
    `token`: by what it was let in. What is empty is left out (docs/wire.md, 5)."""
    client: ClientHints = ClientHints()
    codec: str = ""
    """What the client sends and hears: `opus`, `pcmu`, `pcma`; empty without audio."""
    data: bool = False
    """Data channels were agreed."""
    buffer: int = 0
    """Milliseconds of audio that may wait to be played; more is refused as `audio_flood`."""
    resumed: bool = False
    """Another back end had it and died: there is a past that you do not know."""


class AudioIn(Item, frozen=True, gc=False):
    """What the caller said: a chunk, or its absence."""

    session: str
    at: int
    payload: bytes = b""
    lost: int = 0
    """Milliseconds that are missing here instead of a payload. PCM never is: gaps are concealed in it."""


class ChannelOpened(Item, frozen=True):
    """A data channel is open, whoever opened it."""

    session: str
    channel: int
    label: str = ""
    protocol: str = ""


class ChannelClosed(Item, frozen=True):
    """A data channel is closed."""

    session: str
    channel: int


class DataIn(Item, frozen=True):
    """One message of a data channel."""

    session: str
    channel: int
    payload: bytes
    text: bool = False
    """UTF-8 that was sent as text."""


class PlaybackEvent(StrEnum):
    """What became of the audio that you sent."""

    STARTED = "started"
    PROGRESS = "progress"
    DRAINED = "drained"
    """The last frame of the item has left."""
    CLEARED = "cleared"
    """It was flushed."""


class Playback(Item, frozen=True):
    """How far an item was played: what has left for the client, clocked on RTP."""

    session: str
    event: PlaybackEvent
    item: str = ""
    played: int = 0
    """Milliseconds of this item that have left so far."""


class Speech(Item, frozen=True):
    """Voice activity: the caller has begun or ceased to speak."""

    session: str
    active: bool
    at: int
    """When; for a beginning, the prefix padding before it included."""


class LimitWarning(Item, frozen=True):
    """The session will be ended by a limit."""

    session: str
    limit: str
    seconds: float
    """Left."""


class Stats(Item, frozen=True):
    """How the session's media fares, every few seconds."""

    session: str
    round_trip: float = 0.0
    """Milliseconds; 0 while unknown."""
    jitter: float = 0.0
    """Of what comes from the client, in milliseconds."""
    lost_in: int = 0
    lost_out: int = 0
    late: int = 0
    """Packets that came after their turn in the jitter buffer."""


class SessionEnded(Item, frozen=True):
    """It is over; the last item of that session."""

    session: str
    reason: str
    detail: str = ""


# --- from the back end ----------------------------------------------------------------------------


class Accept(Item, frozen=True):
    """Yours is the session; audio follows in this format, both ways."""

    session: str
    audio: AudioFormat | None = None
    """None: the one of your hello."""
    speech: bool = False
    """Tell voice activity."""
    barge_in: bool = False
    """Flush everything by yourself when the caller begins to speak."""
    vad: Vad | None = None
    """What counts as speech, for either of these. None: what the host says."""


class Reject(Item, frozen=True):
    """Not mine: offer it to somebody else, or end it."""

    session: str
    why: str = ""


class AudioOut(Item, frozen=True, gc=False):
    """Play this after what waits. Faster than real time is normal."""

    session: str
    payload: bytes
    item: str = ""
    """What it belongs to, for `playback` and `flush`: an utterance."""
    last: bool = False
    """The item is complete with this chunk (which may be empty)."""
    live: bool = False
    """It is of now: rather left out than late for good (an echo, another caller's voice)."""


class Flush(Item, frozen=True):
    """Stop playing within one frame, and forget what waits."""

    session: str
    item: str = ""
    """Only this one; empty: all."""


class Pause(Item, frozen=True):
    """Stop playing within one frame; what waits, waits."""

    session: str


class Resume(Item, frozen=True):
    """Go on where `pause` stopped."""

    session: str


class OpenChannel(Item, frozen=True):
    """Open a data channel; `channel_opened` follows."""

    session: str
    label: str
    protocol: str = ""


class DataOut(Item, frozen=True):
    """Send a message on a data channel."""

    session: str
    channel: int
    payload: bytes
    text: bool = False


class HangUp(Item, frozen=True):
    """End the session."""

    session: str
    reason: str = ""


ToBackend: TypeAlias = (
    Hello
    | Heartbeat
    | Error
    | SessionStarted
    | AudioIn
    | Dtmf
    | ChannelOpened
    | ChannelClosed
    | DataIn
    | Playback
    | Speech
    | LimitWarning
    | Stats
    | SessionEnded
)
FromBackend: TypeAlias = (
    Hello
    | Heartbeat
    | Credit
    | Error
    | Accept
    | Reject
    | AudioOut
    | Flush
    | Pause
    | Resume
    | Dtmf
    | OpenChannel
    | DataOut
    | HangUp
)
