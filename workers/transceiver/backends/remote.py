"""The back end that is somewhere else: sessions joined with services that speak docs/backend.md.

A `Pool` knows who is there and has which session, a `Conversation` each session's audio; this joins the
two with what sessions say. Sans-IO: what is to be sent waits in `outbox` until the links take it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Final, assert_never

from config.ids import Instant, SessionId
from ipc.backend.messages import (
    MAX_REASON,
    AudioOut,
    ChannelClosed,
    ChannelOpened,
    DataIn,
    DataOut,
    Dtmf,
    Error,
    ErrorCode,
    Flush,
    HangUp,
    Hello,
    LimitWarning,
    OpenChannel,
    Pause,
    Resume,
    SessionEnded,
    Stats,
    ToBackend,
)
from ipc.backend.vad import Vad
from ipc.messages.sessions import CloseReason
from ipc.messages.stats import EndpointStats
from workers.transceiver.audio.library import LibraryMissing
from workers.transceiver.backends.base import Away, Backend
from workers.transceiver.backends.conversation import Conversation, Output, spoken, unfit
from workers.transceiver.backends.ears import VoiceActivity
from workers.transceiver.backends.endpoints import EndpointName
from workers.transceiver.backends.pool import (
    Accepted,
    Pool,
    PoolOutput,
    Send,
    Unplaced,
    Wish,
)
from workers.transceiver.backends.talk import Talk
from workers.transceiver.core.interface import (
    CloseSession,
    Created,
    ForSession,
    FromSession,
    LimitNear,
    LossReported,
    MediaFared,
    PathSelected,
    SessionClosed,
    StateChanged,
    Unsent,
)
from workers.transceiver.core.sctp import interface as sctp
from workers.transceiver.core.states import SessionState
from workers.transceiver.core.streams.interface import (
    AudioParameters,
    AudioReceived,
    SendAudio,
    Stream,
)
from workers.transceiver.media.loans import Loans
from workers.wire.types import DropReason

MakeVoice = Callable[[int, Vad | None], VoiceActivity]
"""Voice activity detection for PCM at that rate; None: by what counts as speech on this host."""


class Remote(Backend):
    """One name of the configuration: a group of end points."""

    def __init__(
        self,
        name: str,
        hello: Hello,
        endpoints: Sequence[EndpointName],
        *,
        buffer: float,
        entropy: Callable[[int], bytes],
        make_voice: MakeVoice,
    ) -> None:
        """`buffer`: seconds of audio that may wait to be played."""
        self.endpoints: Final = tuple(endpoints)
        self.outbox: defaultdict[EndpointName, list[ToBackend]] = defaultdict(list)
        """What is to be sent, by end point; whoever sends it clears it."""
        self.touched: set[SessionId] = set()
        """Sessions whose time-outs may have changed; whoever sets timers clears it."""
        self.name: Final = name
        self._pool = Pool(hello, {name: endpoints})
        self._buffer = buffer
        self._entropy = entropy
        self._make_voice = make_voice
        self._talks: dict[SessionId, Talk] = {}
        self._loans: Loans | None = None
        self._stream: Callable[[SessionId], Stream | None] = lambda session: None
        self._lenders: set[SessionId] = set()
        """Sessions that may have something to lend."""

    def employ(self, loans: Loans, stream: Callable[[SessionId], Stream | None]) -> None:
        """From now on lend what is simple; `stream` says where a session's audio is."""
        self._loans, self._stream = loans, stream
        self._pool.open_line = loans.open_line

    @property
    def dropped(self) -> Counter[DropReason]:
        """What went no further, and nobody was told of."""
        return self._pool.dropped

    @property
    def is_there(self) -> bool:
        """Whether an end point lives."""
        return bool(self._pool.live(self.name))

    def stats(self) -> dict[str, EndpointStats]:
        """Its end points, as they stand now."""
        return {endpoint: self._pool.stats(endpoint) for endpoint in self.endpoints}

    # --- sessions -----------------------------------------------------------------------------------

    def begin(self, created: Created, now: Instant) -> None:
        """Raises Away if nobody is there to take it."""
        if not self.is_there:
            raise Away(f"no end point of {self.name!r} answers")
        self._talks[created.session] = Talk(created)

    def handle(self, event: FromSession, now: Instant) -> list[ForSession]:
        """What a session says goes to its back end."""
        session, output = event.session, event.output
        talk = self._talks.get(session)
        if talk is None:
            return []
        match output:
            case AudioReceived():
                return self.hear(session, output, now) or []
            case sctp.MessageReceived(channel=channel, payload=payload, text=text):
                return self._pass_on(talk, DataIn(session, channel, payload, text), now)
            case sctp.ChannelOpened(channel=channel, label=label, protocol=protocol):
                opened = ChannelOpened(session, channel, label, protocol)
                talk.channels[channel] = opened
                return self._say(session, opened, now)
            case sctp.ChannelClosed(channel=channel):
                talk.channels.pop(channel, None)
                return self._say(session, ChannelClosed(session, channel), now)
            case Unsent():
                return self._say(session, _complain(output, session), now)
            case LossReported(share=share):
                if talk.conversation is not None:
                    talk.conversation.expect_loss(share)
                return []
            case MediaFared():
                late = 0 if talk.conversation is None else talk.conversation.late
                return self._say(session, _fared(session, output, late), now)
            case LimitNear(limit=limit, seconds=seconds):
                return self._say(session, LimitWarning(session, limit.value, seconds), now)
            case PathSelected(path=path):
                talk.address = str(path.remote)
                return []
            case StateChanged(state=SessionState.CONNECTED):
                return self._carry_out(
                    self._pool.start(talk.introduce(self.name, self._buffer), now), now
                )
            case SessionClosed(reason=reason, detail=detail):
                del self._talks[session]
                if talk.conversation is not None:
                    talk.conversation.end_loans()
                ended = SessionEnded(session, reason.value, detail)
                return self._carry_out(self._pool.end(ended, now), now)
            case _:
                return []

    def endpoint(self, session: SessionId) -> str:
        """Who has accepted that session."""
        return self._pool.holder(session)

    def hear(
        self, session: SessionId, audio: AudioReceived, now: Instant
    ) -> list[ForSession] | None:
        """A frame of a session."""
        talk = self._talks.get(session)
        if talk is None:
            return None
        if talk.conversation is None:
            self._pool.miss(session)
            return None
        self._note(session, talk.conversation)
        item = talk.conversation.hear_next(audio, now)
        if item is None:
            return self._tell(session, talk.conversation.hear(audio, now), now)
        endpoint = self._pool.say(session, item, now)
        if endpoint is not None:
            self.outbox[endpoint].append(item)
        return None

    def next_timeout(self, session: SessionId) -> Instant | None:
        """When that session's sound is due."""
        talk = self._talks.get(session)
        if talk is None or talk.conversation is None:
            return None
        return talk.conversation.next_timeout()

    def handle_timeout(self, session: SessionId, now: Instant) -> list[ForSession]:
        """Sound that is due."""
        talk = self._talks.get(session)
        if talk is None or talk.conversation is None:
            return []
        self._note(session, talk.conversation)
        return self._tell(session, talk.conversation.handle_timeout(now), now)

    def play(self, session: SessionId, now: Instant) -> tuple[Sequence[SendAudio], Instant] | None:
        """As `handle_timeout`, if that sends audio and nothing else; and the next time-out."""
        talk = self._talks.get(session)
        if talk is None or talk.conversation is None:
            return None
        self._note(session, talk.conversation)
        return talk.conversation.play_next(now)

    # --- end points ---------------------------------------------------------------------------------

    def receive(self, endpoint: EndpointName, data: bytes, now: Instant) -> list[ForSession]:
        """A batch of an end point's."""
        return self._carry_out(self._pool.handle(endpoint, data, now), now)

    def reconnected(self, endpoint: EndpointName, now: Instant) -> list[ForSession]:
        """The connection to it is a new one."""
        return self._carry_out(self._pool.reconnected(endpoint, now), now)

    def disconnected(self, endpoint: EndpointName, now: Instant) -> list[ForSession]:
        """There is no connection to it."""
        return self._carry_out(self._pool.disconnected(endpoint, now), now)

    def next_pool_timeout(self) -> Instant:
        """When `handle_pool_timeout` has something to do."""
        return self._pool.next_timeout()

    def handle_pool_timeout(self, now: Instant) -> list[ForSession]:
        """Heartbeats, and end points that are gone."""
        return self._carry_out(self._pool.handle_timeout(now), now)

    def take_batches(self, now: Instant) -> Iterator[tuple[EndpointName, bytes, int]]:
        """Items that were made without us, and how many: to be sent before the outbox."""
        return self._pool.take_batches(now)

    def lend(self, now: Instant) -> None:
        """At the end of a turn, when all has been sent: what is simple again is lent.

        Not earlier: what is made without us leaves before the outbox, and must not overtake it.
        """
        if self._loans is None or not self._lenders:
            return
        for session in self._lenders:
            talk, stream = self._talks.get(session), self._stream(session)
            line = self._pool.line(session)
            if talk and talk.conversation and stream is not None and line is not None:
                talk.conversation.lend(self._loans, stream, line, now)
        self._lenders.clear()

    # --- inside -------------------------------------------------------------------------------------

    def _carry_out(self, outputs: list[PoolOutput], now: Instant) -> list[ForSession]:
        wanted: list[ForSession] = []
        talks = self._talks
        for output in outputs:
            if type(output) is AudioOut:
                # As below, without detours: nearly all outputs are such.
                conversation = talks[SessionId(output.session)].conversation
                if conversation is not None and conversation.say_next(output, now):
                    continue
            match output:
                case Send(endpoint, items):
                    self.outbox[endpoint].extend(items)
                case Accepted():
                    wanted += self._accept(output, now)
                case Unplaced(session, why):
                    close = CloseSession(CloseReason.BACKEND_ENDED, why)
                    wanted.append(ForSession(SessionId(session), close))
                case _:
                    wanted += self._heed(output, now)
        return wanted

    def _accept(self, accepted: Accepted, now: Instant) -> list[ForSession]:
        accept = accepted.accept
        session = SessionId(accept.session)
        self.touched.add(session)
        talk = self._talks[session]
        audio = talk.created.audio
        if audio is None or spoken(audio) is None:
            return self._catch_up(talk, now)
        try:
            listens = accept.speech or accept.barge_in
            why = unfit(audio, accepted.audio, listens=listens)
            if not why:
                if talk.conversation is not None:
                    talk.conversation.end_loans()
                talk.conversation = self._converse(talk, audio, accepted, now)
                return self._catch_up(talk, now)
        except LibraryMissing as error:
            why = str(error)
        self._say(session, Error(ErrorCode.UNSUPPORTED_FORMAT, why, session), now)
        return [ForSession(session, CloseSession(CloseReason.BACKEND_ENDED, why))]

    def _catch_up(self, talk: Talk, now: Instant) -> list[ForSession]:
        """Tell who has just accepted a session what came before he did."""
        session = talk.created.session
        return [each for item in talk.catch_up() for each in self._say(session, item, now)]

    def _pass_on(self, talk: Talk, message: DataIn, now: Instant) -> list[ForSession]:
        """A message goes to the session's back end, or waits until there is one."""
        if self._pool.has_taken(message.session):
            return self._say(talk.created.session, message, now)
        if not talk.keep(message):
            self._pool.dropped[DropReason.QUEUE_FULL] += 1
        return []

    def _converse(
        self, talk: Talk, audio: AudioParameters, accepted: Accepted, now: Instant
    ) -> Conversation:
        accept, rate = accepted.accept, accepted.audio.rate
        listens = accept.speech or accept.barge_in
        return Conversation(
            accept.session,
            audio,
            accepted.audio,
            buffer=self._buffer,
            entropy=self._entropy,
            now=now,
            voice=self._make_voice(rate, accept.vad) if listens else None,
            barge_in=accept.barge_in,
        )

    def _heed(self, item: Wish, now: Instant) -> list[ForSession]:
        """Do what the back end of a session wants."""
        session = SessionId(item.session)
        talk = self._talks[session]
        self.touched.add(session)
        match item:
            case AudioOut() | Flush() | Pause() | Resume() | Dtmf():
                if talk.conversation is None:
                    error = Error(ErrorCode.UNEXPECTED, "the client takes no audio", session)
                    return self._say(session, error, now)
                self._note(session, talk.conversation)
                return self._tell(session, talk.conversation.say(item, now), now)
            case DataOut(channel=channel) if channel not in talk.channels:
                unknown = Unsent(channel, DropReason.UNKNOWN_CHANNEL)
                return self._say(session, _complain(unknown, session), now)
            case DataOut(channel=channel, payload=payload, text=text):
                return [ForSession(session, sctp.SendMessage(channel, payload, text))]
            case OpenChannel(label=label, protocol=protocol):
                return [ForSession(session, sctp.OpenChannel(label, protocol))]
            case HangUp(reason=reason):
                return [
                    ForSession(
                        session, CloseSession(CloseReason.BACKEND_ENDED, reason[:MAX_REASON])
                    )
                ]
            case _:
                assert_never(item)

    def _note(self, session: SessionId, conversation: Conversation) -> None:
        if self._loans is not None and conversation.lends:
            self._lenders.add(session)

    def _tell(self, session: SessionId, outputs: list[Output], now: Instant) -> list[ForSession]:
        wanted: list[ForSession] = []
        for output in outputs:
            if isinstance(output, SendAudio):
                wanted.append(ForSession(session, output))
            else:
                wanted += self._say(session, output, now)
        return wanted

    def _say(self, session: SessionId, item: ToBackend, now: Instant) -> list[ForSession]:
        endpoint = self._pool.say(session, item, now)
        if endpoint is not None:
            self.outbox[endpoint].append(item)
        return []


def _fared(session: SessionId, fared: MediaFared, late: int) -> Stats:
    """In the protocol's units."""
    round_trip = 1000 * (fared.round_trip or 0.0)
    return Stats(session, round_trip, 1000 * fared.jitter, fared.lost_in, fared.lost_out, late)


def _complain(unsent: Unsent, session: SessionId) -> Error:
    """What a back end is told of a message, or a channel, that came to nothing."""
    what = "a channel" if unsent.channel is None else f"channel {unsent.channel}"
    match unsent.reason:
        case DropReason.UNKNOWN_CHANNEL:
            return Error(ErrorCode.UNKNOWN_CHANNEL, f"{what} is not open", session)
        case DropReason.OVERSIZE:
            return Error(ErrorCode.TOO_LARGE, f"more than the client takes for {what}", session)
        case DropReason.QUEUE_FULL if unsent.channel is not None:
            return Error(ErrorCode.DATA_FLOOD, f"too much waits to be sent on {what}", session)
        case _:
            return Error(ErrorCode.UNEXPECTED, f"no room, or no time, for {what}", session)
