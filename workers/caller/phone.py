"""Places calls, many at a time: the trio side of the caller."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec
import trio

from config.ids import Transport
from config.model import MediaChoice
from workers.caller.call import GRACE, Call, OneDoor
from workers.caller.carried import Carried
from workers.caller.exchange import Exchange, Placed
from workers.caller.lines import Line, Lines
from workers.caller.report import CallReport, Report
from workers.caller.source import FRAME_SECONDS, SilentOpus, Source
from workers.caller.trunk import Trunk
from workers.caller.voice import Probe, Speaker, Voice
from workers.http_client import HttpFailed
from workers.native import NotBuilt
from workers.transceiver.core.dtls import DtlsIdentity
from workers.transceiver.core.fragment import encode_restart, read_fragment
from workers.transceiver.core.interface import (
    Codec,
    IceCredentials,
    IceRole,
    SessionParameters,
)
from workers.transceiver.core.negotiation import NothingInCommon
from workers.transceiver.core.offer import OPUS, PCMU, Answer, build_offer, parse_answer
from workers.transceiver.core.sdp import SdpError
from workers.transceiver.core.session import Session
from workers.transceiver.core.standalone import Standalone

AT_ONCE: Final = 64
"""Calls that may be in set-up at the same time."""
MOST_CIRCUITS: Final = 4096
"""Calls beyond these carry their media in Python."""


class Plan(msgspec.Struct, frozen=True):
    """What to do."""

    url: str
    count: int = 1
    seconds: float = 5.0
    """How long each call talks."""
    rate: float = 50.0
    """New calls a second; 0 is as fast as they are answered."""
    connect_timeout: float = 10.0
    voice: Source | None = None
    """Speak this, Opus or PCMU, instead of silence."""
    audio: bool = True
    data: bool = False
    """Open a data channel and send messages on it."""
    restart_every: float = 0.0
    """Seconds between two ICE restarts of a call; 0 never."""
    move_every: float = 0.0
    """Seconds between two changes of a call's own port; 0 never."""
    first_number: int = 0
    """Of the calls; numbers tell what comes back of one from what comes back of another."""
    patience: float = GRACE
    """Seconds at a call's end without a message after which those in flight count as lost."""
    transport: Transport = Transport.UDP
    """Over which the server is reached."""
    key: str = ""
    """API key or client secret, if the server wants one."""
    media: MediaChoice = MediaChoice.AUTO
    """Who carries it: a trunk (native) or each call (python). A trunk speaks silence over UDP only."""


class Phone:
    """Carries out a plan and sums up what it was like."""

    def __init__(self, plan: Plan, now: Callable[[], float] = trio.current_time) -> None:
        self._plan = plan
        self._now = now
        self._exchange = Exchange(plan.url, key=plan.key)
        self._identity = DtlsIdentity(secrets.token_bytes)
        self._setting_up = trio.CapacityLimiter(AT_ONCE)
        self._stopping = trio.Event()
        self._trunk, self.media = self._make_trunk()
        self.lines = Lines(self._trunk)
        self.report = Report()
        self.started = 0
        self.connected = 0
        self.first_start: float | None = None
        self.last_connected: float | None = None

    async def run(self) -> None:
        """Place all calls and wait for their ends."""
        try:
            if self._trunk is not None:
                self._trunk.start()
            async with trio.open_nursery() as service:
                service.start_soon(self.lines.read)
                service.start_soon(self.lines.hear)
                service.start_soon(self.lines.pace)
                async with trio.open_nursery() as calls:
                    await self._start_all(calls)
                service.cancel_scope.cancel()
        finally:
            self.lines.close()

    def _make_trunk(self) -> tuple[Trunk | None, str]:
        """With a word on who carries the media, and why."""
        plan, why = self._plan, "chosen"
        if plan.media is not MediaChoice.PYTHON:
            if plan.transport is not Transport.UDP or plan.voice is not None or not plan.audio:
                why = "UDP and silence only"
            else:
                try:
                    offset = self._now() - time.monotonic()
                    return Trunk(min(plan.count, MOST_CIRCUITS), offset), "native"
                except NotBuilt as reason:
                    why = str(reason)
            if plan.media is MediaChoice.NATIVE:
                raise NotBuilt(why)
        return None, f"python ({why})"

    @property
    def latest(self) -> float:
        """Seconds by which the worst frame was late: more than a few ms say that we are the brake."""
        return max(self.lines.latest, self._trunk.latest if self._trunk is not None else 0.0)

    @property
    def sessions_per_second(self) -> float | None:
        """Calls connected a second, from the first offer to the last connection; None without one."""
        if self.first_start is None or self.last_connected is None:
            return None
        return round(self.connected / (self.last_connected - self.first_start), 2)

    def stop(self) -> None:
        """No new calls; those that talk end as if they had said everything."""
        self._stopping.set()
        self.lines.stop_talking()

    async def _start_all(self, calls: trio.Nursery) -> None:
        due = self.first_start = self._now()
        for number in range(self._plan.count):
            if self._stopping.is_set():
                return
            calls.start_soon(self._one, self._plan.first_number + number)
            if self._plan.rate:
                due += 1 / self._plan.rate
                with trio.move_on_at(due):
                    await self._stopping.wait()

    async def _one(self, number: int) -> None:
        try:
            async with self._setting_up:
                if self._stopping.is_set():
                    return
                self.started += 1
                line, placed, http = await self._set_up(number)
            report = await self._talk(line, placed, http)
        except (HttpFailed, SdpError, NothingInCommon, OSError) as error:
            report = CallReport(error=_why(error), phases={})
        self.report.add(report)

    async def _set_up(self, number: int) -> tuple[Line, Placed, float]:
        """A line that is connected or has failed, the call's resource, and seconds of HTTP."""
        source: Source | None = None
        codecs: tuple[Codec, ...] = ()
        if self._plan.audio:
            source = self._plan.voice or SilentOpus(number)
            codecs = (OPUS if source.codec == OPUS.name else PCMU,)
        local, ssrc = _credentials(), secrets.randbits(32)
        offer = build_offer(
            local,
            self._identity.fingerprint,
            origin=secrets.randbits(62),
            codecs=codecs,
            data=self._plan.data,
            ssrc=ssrc,
        )
        start = self._now()
        placed = await self._exchange.place(offer)
        http = self._now() - start
        try:
            answer = parse_answer(placed.answer)
            over = self._plan.transport
            candidates = answer.candidates if over is Transport.UDP else answer.tcp_candidates
            line = Line(candidates, over)
            line.call = self._call(line, local, ssrc, answer, source, number)
        except (SdpError, NothingInCommon, OSError):
            await self._hang_up_quietly(placed)
            raise
        self.lines.plug(line)
        if self._stopping.is_set():
            self.lines.stop_talking()  # it was not there when the others were told
        await line.settled.wait()
        if line.call.connected:
            self.connected += 1
            self.last_connected = self._now()
        return line, placed, http

    async def _talk(self, line: Line, placed: Placed, http: float) -> CallReport:
        call, error = line.call, ""
        assert call is not None
        try:
            async with trio.open_nursery() as changes:
                if self._plan.restart_every:
                    changes.start_soon(self._restart, line, placed)
                if self._plan.move_every:
                    changes.start_soon(self._move, line)
                await line.over.wait()
                changes.cancel_scope.cancel()
            if call.failure:
                await self._hang_up_quietly(placed)
            else:
                await self._exchange.hang_up(placed.resource)
        except HttpFailed as failed:
            error = str(failed)
        finally:
            self.lines.unplug(line)
        if not call.connected and line.refused:
            error = f"{call.failure}; the machine says: {', '.join(line.refused)}"
        return msgspec.structs.replace(call.report(http, error), reconnects=line.reconnects)

    async def _restart(self, line: Line, placed: Placed) -> None:
        """Again and again, while the call talks; one that is refused ends it."""
        assert line.call is not None
        while True:
            await trio.sleep(self._plan.restart_every)
            local = _credentials()
            try:
                answer = await self._exchange.restart(placed.resource, encode_restart(local))
                remote = read_fragment(answer).credentials
            except (HttpFailed, SdpError) as error:
                line.fail(str(error))
                return
            if remote is None:
                line.fail("ICE restart: the answer has no credentials")
                return
            self.lines.restart(line, local, remote)

    async def _move(self, line: Line) -> None:
        """Again and again, while the call talks."""
        assert line.call is not None
        while True:
            await trio.sleep(self._plan.move_every)
            try:
                self.lines.move(line)
            except OSError as error:
                line.fail(_why(error))
                return

    def _call(
        self,
        line: Line,
        local: IceCredentials,
        ssrc: int,
        answer: Answer,
        source: Source | None,
        number: int,
    ) -> Call:
        codec = None
        if source is not None:
            offered = answer.audio.codecs if answer.audio is not None else ()
            codec = next((c for c in offered if c.name == source.codec), None)
            if codec is None:
                raise NothingInCommon(f"the answer does not accept {source.codec}")
        if self._plan.data and answer.data is None:
            raise NothingInCommon("the answer does not accept data channels")
        now = self._now()
        session = Session(
            SessionParameters(
                ice_role=IceRole.CONTROLLING,
                dtls_role=answer.dtls_role,
                local=local,
                remote=answer.remote,
                remote_fingerprints=answer.fingerprints,
                audio=answer.audio,
                data=answer.data,
                remote_endpoints=tuple(line.paths.values()),
                connect_timeout=self._plan.connect_timeout,
                ssrc=ssrc,
            ),
            self._identity,
            secrets.token_bytes,
            now,
            time.time() - now,
        )
        door, voice = self._voice(line, session, source, codec)
        return Call(
            door,
            voice,
            now=now,
            data=self._plan.data,
            number=number,
            patience=self._plan.patience,
        )

    def _voice(
        self, line: Line, session: Session, source: Source | None, codec: Codec | None
    ) -> tuple[OneDoor, Voice]:
        """Who carries the call's media, and who speaks."""
        frames = max(1, round(self._plan.seconds / FRAME_SECONDS))
        first = secrets.randbits(32)
        if self._trunk is not None and isinstance(source, SilentOpus) and codec is not None:
            line.circuit = self._trunk.circuit([*line.paths.values()])
            if line.circuit is not None:
                probe = Probe(line.circuit, source, codec, frames=frames, first_timestamp=first)
                return Carried(session, line.circuit), probe
        return Standalone(session), Speaker(source, codec, frames=frames, first_timestamp=first)

    async def _hang_up_quietly(self, placed: Placed) -> None:
        # The call has failed already, and that is the error to report.
        with suppress(HttpFailed):
            await self._exchange.hang_up(placed.resource)


def _credentials() -> IceCredentials:
    return IceCredentials(secrets.token_hex(4), secrets.token_hex(16))


def _why(error: Exception) -> str:
    if isinstance(error, SdpError):
        return f"the answer is not usable, {error}"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
