"""A transceiver's side of the back-end protocol with a load and a clock, and no WebRTC around it.

Frames go into a `Remote` as they would from the media plane; the back end is a process of its own, behind
a real socket. What comes back is timed where it comes out of the protocol.
"""

from __future__ import annotations

import json
import os
import struct
import time
from math import ceil, floor
from typing import Final

import trio

from bench.backend_figures import Cut
from config.ids import Endpoint, Instant, SessionId, Transport
from ipc.backend.messages import AudioOut, Hello
from workers.transceiver.audio.voice import Voice
from workers.transceiver.backends.links import LOOK, Links
from workers.transceiver.backends.pool import PoolOutput
from workers.transceiver.backends.remote import Remote
from workers.transceiver.core.interface import (
    Created,
    ForSession,
    FromSession,
    Path,
    PathSelected,
    SendAudio,
    StateChanged,
)
from workers.transceiver.core.sctp import interface as sctp
from workers.transceiver.core.states import SessionState
from workers.transceiver.core.streams.interface import AudioParameters, AudioReceived, Codec
from workers.transceiver.media.base import GATHER
from workers.transceiver.pace import LONGEST, Pace

AUDIO: Final = AudioParameters("0", (Codec("opus", 111, 48_000, 2),), sends=True, receives=True)
STEP: Final = 0.02
FLUSHED: Final = 50
"""Sessions that are spoken to and flushed."""
_STAMP: Final = struct.Struct(">d62x")
_PATH: Final = Path(Transport.UDP, Endpoint("203.0.113.7", 51_000), Endpoint("198.51.100.1", 3478))


class _Timed(Remote):
    """Remembers how long each frame was away."""

    round_trips: list[float]

    def _carry_out(self, outputs: list[PoolOutput], now: Instant) -> list[ForSession]:
        others: list[PoolOutput] = []
        for output in outputs:
            if isinstance(output, AudioOut) and output.item == "echo":
                (sent,) = _STAMP.unpack(output.payload)
                self.round_trips.append(trio.current_time() - sent)
            else:
                others.append(output)
        return super()._carry_out(others, now)


class Stage:
    """Some sessions, all connected and accepted."""

    def __init__(self, endpoint: str, count: int) -> None:
        self._sessions = [SessionId(f"rtc_0_{number}") for number in range(count)]
        self._remote = _Timed(
            "bench",
            Hello("bench", instance=os.urandom(4).hex()),
            [endpoint],
            buffer=60.0,
            entropy=os.urandom,
            make_voice=Voice,
        )
        self._remote.round_trips = []
        self._links = Links(self._remote)
        self._replies: dict[SessionId, bytes] = {}
        self._spoken: dict[SessionId, tuple[int, float]] = {}
        """Frames that have left, and when the last one did."""

    async def run(self, seconds: float) -> tuple[list[float], list[Cut]]:
        """Round trips of frames at full load, then flushes."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_time)
            with trio.fail_after(30):
                await self._connect()
            await self._talk(1.0)
            self._remote.round_trips.clear()
            await self._talk(seconds)
            nursery.start_soon(self._play)
            cuts: list[Cut] = []
            async with trio.open_nursery() as cutting:
                for session in self._sessions[:FLUSHED]:
                    cutting.start_soon(self._cut, session, cuts)
                    await trio.sleep(0.033)
            nursery.cancel_scope.cancel()
        self._links.close()
        return self._remote.round_trips, cuts

    async def _keep_time(self) -> None:
        while True:
            self._heed(self._links.keep_time(trio.current_time()))
            self._turn()
            await trio.sleep(LOOK)

    def _turn(self) -> None:
        """As the transceiver's."""
        self._heed(self._links.take(trio.current_time()))
        self._remote.touched.clear()
        self._links.flush(trio.current_time())

    def _heed(self, wanted: list[ForSession]) -> None:
        for event in wanted:
            if isinstance(event.event, sctp.SendMessage):
                self._replies[event.session] = event.event.payload

    def _tell(self, session: SessionId, output: object) -> None:
        self._remote.handle(FromSession(session, output), trio.current_time())  # type: ignore[arg-type]

    async def _connect(self) -> None:
        while not self._remote.is_there:
            await trio.sleep(0.02)
        now = trio.current_time()
        for session in self._sessions:
            self._remote.begin(Created(0, session, "", "bench", audio=AUDIO, data=True), now)
            self._tell(session, PathSelected(_PATH))
            self._tell(session, StateChanged(SessionState.CONNECTED))
            self._tell(session, sctp.ChannelOpened(0, "", "", ordered=True, by_peer=True))
        self._links.flush(trio.current_time())

    async def _talk(self, seconds: float) -> None:
        """All sessions, 50 frames a second each, evenly spread as independent clients are."""
        step = STEP / len(self._sessions)
        # Seconds between two rounds of the media plane, each of which hands over what has come.
        every = GATHER + step
        begin, number, total = trio.current_time(), 0, int(seconds / step)
        pace = Pace(begin)
        while number < total:
            now = trio.current_time()
            due = min(int(floor((now - begin) / every) * every / step), total)
            for index in range(number, due):
                tick, place = divmod(index, len(self._sessions))
                session = self._sessions[place]
                # From when the plane had it, so that what it waits for company is counted.
                payload = _STAMP.pack(begin + ceil(index * step / every) * every)
                frame = AudioReceived(payload, 111, tick & 0xFFFF, 960 * tick, False, 7)
                self._remote.hear(session, frame, now)
            self._turn()
            # Each is answered: twice the work. As the plane rests: for the first round that begins then.
            rested = now + pace.rest(2 * (due - number), now, urgent=False) - begin
            _sleep_until(begin + ceil(rested / every) * every)
            await trio.lowlevel.checkpoint()
            number = due
        await trio.sleep(0.2)

    async def _play(self) -> None:
        """Sends what is due, as the transceiver's timers do."""
        while True:
            now = trio.current_time()
            for session in self._sessions[:FLUSHED]:
                due = self._remote.next_timeout(session)
                if due is None or due > now:
                    continue
                for event in self._remote.handle_timeout(session, now):
                    if isinstance(event.event, SendAudio):
                        frames, _ = self._spoken.get(session, (0, 0.0))
                        self._spoken[session] = frames + 1, time.monotonic()
            self._turn()
            await trio.sleep(LONGEST)

    async def _cut(self, session: SessionId, cuts: list[Cut]) -> None:
        self._tell(session, sctp.MessageReceived(0, b"play", text=True))
        await trio.sleep(0.11)
        self._tell(session, sctp.MessageReceived(0, b"flush", text=True))
        with trio.fail_after(10):
            while session not in self._replies:
                await trio.sleep(0.005)
        await trio.sleep(0.05)
        reply = json.loads(self._replies[session])
        frames, last = self._spoken[session]
        cuts.append(Cut(reply["at"], last, frames * 20, reply["played"]))


def _sleep_until(when: Instant) -> None:
    """As the transceiver does while frames are all that comes."""
    time.sleep(max(0.0, when - trio.current_time()))
