"""One session's audio between a stream of RTP and a back end: the ear, the mouth, and the keys.

    frames of the plane --> order or jitter buffer --> audio_in, dtmf, speech
    audio_out, flush, pause, dtmf --> playout (paced, counted) --> frames for the plane, playback

A format that is the client's own codec passes through untouched. PCM is decoded by the back end's clock,
concealed and mended, and encoded when it is played, not before: what is flushed was never encoded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, TypeAlias

from config.ids import Instant
from ipc.backend.messages import (
    MAX_NAME,
    AudioFormat,
    AudioOut,
    Dtmf,
    Encoding,
    Error,
    ErrorCode,
    Flush,
    Pause,
    Playback,
    PlaybackEvent,
    Resume,
    Speech,
    ToBackend,
)
from workers.transceiver.audio.formats import EVENTS, require
from workers.transceiver.audio.lendable import LendablePlayout
from workers.transceiver.audio.playout import FRAME, Played, PlayoutOutput
from workers.transceiver.backends.ears import Ear, PacketEar, PcmEar, VoiceActivity
from workers.transceiver.backends.mouths import Mouth, PacketMouth, PcmMouth
from workers.transceiver.core.streams.interface import (
    AudioParameters,
    AudioReceived,
    Codec,
    SendAudio,
    Stream,
)
from workers.transceiver.media.loans import Line, Loans

_NAMES: Final = {Encoding.OPUS: "opus", Encoding.PCMU: "pcmu", Encoding.PCMA: "pcma"}

Output: TypeAlias = ToBackend | SendAudio
Entropy: TypeAlias = Callable[[int], bytes]


def spoken(audio: AudioParameters) -> Codec | None:
    """The codec that a client is spoken to in."""
    return next((codec for codec in audio.codecs if codec.name != EVENTS), None)


def unfit(audio: AudioParameters | None, wanted: AudioFormat, *, listens: bool = False) -> str:
    """Why a session cannot be had in that format; empty if it can. Raises LibraryMissing.

    `listens`: voice activity is to be told.
    """
    codec = None if audio is None else spoken(audio)
    if codec is None:
        return ""  # data alone: there is no audio to have a format
    if wanted.encoding is Encoding.PCM:
        require(codec, wanted.rate)
        return ""
    if listens:
        return f"voice activity is told of PCM only, not of {wanted.encoding.value}"
    if _NAMES[wanted.encoding] != codec.name:
        return (
            f"the client speaks {codec.name}; {wanted.encoding.value} would have to be transcoded"
        )
    return ""


class Conversation:
    """From accept to the end. Sans-IO."""

    def __init__(
        self,
        session: str,
        audio: AudioParameters,
        wanted: AudioFormat,
        *,
        buffer: float,
        entropy: Entropy,
        now: Instant,
        voice: VoiceActivity | None = None,
        barge_in: bool = False,
    ) -> None:
        """`buffer`: seconds that may wait to be played. `voice` needs PCM. Raises LibraryMissing."""
        codec = spoken(audio)
        if codec is None:
            raise ValueError("no codec to speak in")
        self._session: Final = session
        self._barge_in = barge_in
        pcm = wanted.encoding is Encoding.PCM
        self._ear: Ear = (
            PcmEar(session, audio, wanted.rate, now, voice)
            if pcm
            else PacketEar(session, audio, codec, now)
        )
        self.hear_next: Final = self._ear.take_next
        """What the very next frame says, if no time-out changes by it: nearly every frame is such a one."""
        frame_bytes = int(wanted.rate * FRAME) * 2 if pcm else 0
        timestamp = int.from_bytes(entropy(4), "big")
        self._playout = LendablePlayout(
            clock_rate=codec.clock_rate,
            frame_bytes=frame_bytes,
            buffer=buffer,
            timestamp=timestamp,
        )
        self._mouth: Mouth = (
            PcmMouth(audio, wanted.rate, codec, entropy)
            if pcm
            else PacketMouth(audio, codec, timestamp)
        )
        self.lends: Final = not pcm
        """There is something to lend, time and again."""
        self._else_due = -math.inf
        """When something else than a frame of the playout is due; while keys take its place, always."""
        self._look()

    # --- what comes -------------------------------------------------------------------------------

    def lend(self, loans: Loans, stream: Stream, line: Line, now: Instant) -> None:
        """Let the plane go on with whatever is simple enough."""
        ear, mouth = self._ear, self._mouth
        if isinstance(ear, PacketEar):
            ear.lend(loans, stream, line)
        if isinstance(mouth, PacketMouth) and mouth.next_timeout() is None:
            type_, shift = mouth.payload_type, mouth.shift
            self._playout.lend(loans, stream, line, self._session, type_, shift, now)

    def end_loans(self) -> None:
        """Nothing comes or goes without us any more."""
        if isinstance(self._ear, PacketEar):
            self._ear.end_loan()
        self._playout.end_loan()

    def say_next(self, item: AudioOut, now: Instant) -> bool:
        """Whether it was simply put behind what is being played, so that no time-out changes by it."""
        audio, last, live = item.payload, item.last, item.live
        return self._playout.add_next(item.item, audio, now, last=last, live=live)

    def play_next(self, now: Instant) -> tuple[list[SendAudio], Instant] | None:
        """The frame that is due, if that is all there is to do and to say; and the next time-out."""
        if self._else_due <= now:
            return None
        frame = self._playout.take_next(now)
        if frame is None:
            return None
        return self._mouth.speak(frame), min(frame.until, self._else_due)

    def hear(self, packet: AudioReceived, now: Instant) -> list[Output]:
        """A frame of the client's."""
        outputs = self._heard(self._ear.handle(packet, now))
        self._look()
        return outputs

    def say(self, item: AudioOut | Flush | Pause | Resume | Dtmf, now: Instant) -> list[Output]:
        """An item of the back end's."""
        match item:
            case AudioOut(item=name) if len(name) > MAX_NAME:
                why = f"an item has a name of {MAX_NAME} characters at most"
                return [Error(ErrorCode.TOO_LARGE, why, self._session)]
            case AudioOut():
                audio, last, live = item.payload, item.last, item.live
                if not self._playout.add(item.item, audio, now, last=last, live=live):
                    why = "what waits to be played fills the buffer"
                    return [Error(ErrorCode.AUDIO_FLOOD, why, self._session)]
            case Flush():
                return self._spoken(self._playout.flush(item.item))
            case Pause():
                self._playout.pause()
            case Resume():
                self._playout.resume(now)
            case Dtmf():
                self._take_over(now)
                if not self._mouth.press(item.digit, item.duration / 1000, now):
                    why = "no such key, or the client knows none"
                    return [Error(ErrorCode.UNEXPECTED, why, self._session)]
                self._look()
        return []

    def expect_loss(self, share: float) -> None:
        """What share of our packets the client reports as lost, 0 to 1."""
        self._mouth.expect_loss(share)

    @property
    def late(self) -> int:
        """Packets that came after their turn."""
        return self._ear.late

    # --- time -------------------------------------------------------------------------------------

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` has something to do."""
        heard, said = self._ear.next_timeout(), self._mouth.next_timeout()
        if said is None:
            said = self._playout.next_timeout()
        if heard is None or said is None:
            return said if heard is None else heard
        return min(heard, said)

    def handle_timeout(self, now: Instant) -> list[Output]:
        """Sound that is due, both ways."""
        outputs = self._live(now)
        self._look()
        return outputs

    def _live(self, now: Instant) -> list[Output]:
        outputs: list[Output] = []
        due = self._ear.next_timeout()
        if due is not None and due <= now:
            outputs = self._heard(self._ear.handle_timeout(now))
        if self._mouth.next_timeout() is not None:
            # Keys take the place of audio, which waits.
            self._take_over(now)
            self._playout.hold(now)
            outputs += self._mouth.handle_timeout(now)
            if self._mouth.next_timeout() is not None:
                return outputs
        due = self._playout.next_timeout()
        if due is not None and due <= now:
            outputs += self._spoken(self._playout.handle_timeout(now))
        return outputs

    def _take_over(self, now: Instant) -> None:
        """Nothing leaves but by the mouth, which knows where the plane was."""
        self._playout.end_loan(now)
        if isinstance(self._mouth, PacketMouth) and self._playout.lent_until >= 0:
            self._mouth.follow(self._playout.lent_until)

    def _look(self) -> None:
        heard = self._ear.next_timeout()
        keys = self._mouth.next_timeout() is not None
        self._else_due = -math.inf if keys else math.inf if heard is None else heard

    def _heard(self, items: list[ToBackend]) -> list[Output]:
        outputs: list[Output] = []
        for item in items:
            outputs.append(item)
            if self._barge_in and isinstance(item, Speech) and item.active:
                outputs += self._spoken(self._playout.flush(""))
        return outputs

    def _spoken(self, played: list[PlayoutOutput]) -> list[Output]:
        outputs: list[Output] = []
        for each in played:
            if isinstance(each, Played):
                event = PlaybackEvent(each.progress.value)
                outputs.append(Playback(self._session, event, each.item, each.milliseconds))
            else:
                outputs += self._mouth.speak(each)
        return outputs
