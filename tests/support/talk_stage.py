"""A session that talks with a back end through a native media plane, by a clock of the test's.

As the transceiver's shell joins them, a turn every millisecond; with loans or without.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

import pytest

from config.ids import Endpoint, SessionId, Transport
from ipc.backend.codec import decode_to_backend, encode_batch
from ipc.backend.messages import (
    Accept,
    AudioIn,
    AudioOut,
    Credit,
    FromBackend,
    Heartbeat,
    Hello,
    Playback,
    ToBackend,
)
from tests.support.media import MAX_STREAMS, MTU, OPUS, Relay, peer, udp
from workers.native import NotBuilt
from workers.transceiver.audio.voice import Voice
from workers.transceiver.backends.remote import Remote
from workers.transceiver.core.interface import (
    Created,
    ForSession,
    FromSession,
    Path,
    PathSelected,
    StateChanged,
)
from workers.transceiver.core.states import SessionState
from workers.transceiver.core.streams.interface import (
    AudioParameters,
    Codec,
    FrameReceived,
    SendAudio,
)
from workers.transceiver.media.native import NativePlane
from workers.wire.rtp import RtpPacket

A: Final = "ipc:///a"
B: Final = "ipc:///b"
S: Final = SessionId("rtc_0_s")
STREAM: Final = 3
LABEL: Final = 0x500
KEYS: Final = Codec("telephone-event", 110, 48_000)
AUDIO: Final = AudioParameters("0", (OPUS, KEYS), sends=True, receives=True)
PATH: Final = Path(Transport.UDP, Endpoint("203.0.113.7", 51_000), Endpoint("198.51.100.1", 3478))
TURN: Final = 0.001
BEGIN: Final = 1000.0


class TalkStage:
    """One session that a back end has accepted."""

    def __init__(self, ends: ExitStack, *, lend: bool = True, buffer: float = 2.0) -> None:
        link = udp()
        self._relay = Relay(link)
        ends.callback(link.close)
        ends.callback(self._relay.sock.close)
        self.now = BEGIN
        try:
            self.plane = NativePlane(link, mtu=MTU, peers=[self._relay.at], max_streams=MAX_STREAMS)
        except NotBuilt as reason:
            pytest.skip(str(reason))
        ends.callback(self.plane.end)
        self._client = peer(STREAM)
        self.plane.open(STREAM, self._client.keys, AUDIO, 0x5000, 100)
        self.plane.bind(self._relay.label(LABEL), STREAM)
        self.plane.set_way(STREAM, self._relay.label(LABEL))
        self.remote = Remote(
            "agent",
            Hello("t", instance="t"),
            [A, B],
            buffer=buffer,
            entropy=bytes,
            make_voice=Voice,
        )
        if lend:
            self.remote.employ(self.plane.loans, lambda session: STREAM)
        self.told: list[ToBackend] = []
        """What back ends were told, but heartbeats and greetings."""
        self.heard: list[tuple[float, RtpPacket]] = []
        """What the client was sent, and when."""
        self.say(Hello("a", instance="1"), Credit(1000))
        self.remote.begin(Created(0, S, "answer", "agent", audio=AUDIO), self.now)
        self.session(PathSelected(PATH))
        self.session(StateChanged(SessionState.CONNECTED))
        self.say(Accept(S))
        self.told.clear()

    # --- what happens -------------------------------------------------------------------------------

    def session(self, output: object) -> None:
        """The session says that."""
        self._carry_out(self.remote.handle(FromSession(S, output), self.now))  # type: ignore[arg-type]

    def say(self, *items: FromBackend, at: str = A) -> None:
        """A back end says that, in one batch."""
        self._carry_out(self.remote.receive(at, encode_batch(items), self.now))
        self.turn()

    def speak(
        self,
        number: int,
        payload: bytes = b"caller",
        payload_type: int = 111,
        *,
        timestamp: int | None = None,
    ) -> None:
        """The client sends a packet."""
        packet = self._client.rtp(number, payload=payload, type_=payload_type, timestamp=timestamp)
        self._relay.data(LABEL, packet)

    def run(self, seconds: float) -> None:
        """Let time pass, a turn each millisecond; back ends say that they live."""
        for _ in range(round(seconds / TURN)):
            self.now += TURN
            if round(self.now / TURN) % 500 == 0:
                self._carry_out(self.remote.receive(A, encode_batch([Heartbeat()]), self.now))
            self.turn()

    def turn(self) -> None:
        """As the shell's, and then a round of the plane's thread."""
        self.plane.turn(self.now)
        for event in self.plane.take():
            if isinstance(event, FrameReceived):
                self._carry_out(self.remote.hear(S, event.audio, self.now) or [])
        due = self.remote.next_timeout(S)
        if due is not None and due <= self.now:
            played = self.remote.play(S, self.now)
            if played is None:
                self._carry_out(self.remote.handle_timeout(S, self.now))
            else:
                for frame in played[0]:
                    self.plane.send(STREAM, frame)
        self.plane.flush()
        for _, batch, count in self.remote.take_batches(self.now):
            items = decode_to_backend(batch)
            assert len(items) == count
            self.told += items
        for items in self.remote.outbox.values():
            self.told += [item for item in items if not isinstance(item, Heartbeat | Hello)]
        self.remote.outbox.clear()
        self.remote.touched.clear()
        self.remote.lend(self.now)
        self.plane.flush()
        self.plane.turn(self.now)
        self.heard += [(self.now, self._client.hears(each)) for each in self._relay.records()]
        assert self.plane.counters.conserved()

    def _carry_out(self, wanted: list[ForSession]) -> None:
        for each in wanted:
            assert isinstance(each.event, SendAudio), each
            self.plane.send(STREAM, each.event)

    # --- what came of it ----------------------------------------------------------------------------

    @property
    def payloads(self) -> list[bytes]:
        """What the client was sent of audio."""
        return [packet.payload for _, packet in self.heard if packet.payload_type == 111]

    @property
    def playback(self) -> list[tuple[str, str, int]]:
        """What was told of it: event, item, milliseconds."""
        return [(e.event.value, e.item, e.played) for e in self.told if isinstance(e, Playback)]

    @property
    def chunks(self) -> list[AudioIn]:
        """What was told of what the client said."""
        return [item for item in self.told if isinstance(item, AudioIn)]

    def forget(self) -> None:
        """What has been so far."""
        self.told.clear()
        self.heard.clear()


def out(payload: bytes, item: str = "a", *, last: bool = False, live: bool = False) -> AudioOut:
    """An item of the back end's."""
    return AudioOut(S, payload, item, last, live)


@pytest.fixture
def ends() -> Iterator[ExitStack]:
    """What has to end with the test."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def stage(ends: ExitStack) -> TalkStage:
    """One that lends."""
    return TalkStage(ends)
