"""The transceiver's tasks: one pumps the link and the timers, others hear the rest. They decide nothing."""

from __future__ import annotations

import math
import os
import select
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final, assert_never

import trio

from config.ids import Endpoint, Instant, SessionId
from ipc.messages.lifecycle import DescriptorKind, Ready
from ipc.messages.routes import Relays, RelaysApplied
from ipc.messages.sessions import (
    CloseReason,
    SessionNews,
)
from ipc.messages.stats import SessionEvent, SessionEvents, TransceiverStats
from ipc.rpc import RpcServer
from workers.transceiver.backends.echo import Echo
from workers.transceiver.backends.echo_pcm import EchoPcm
from workers.transceiver.backends.exchange import Exchange
from workers.transceiver.backends.links import LOOK, Links
from workers.transceiver.core.interface import (
    AudioReceived,
    CloseAll,
    Crashed,
    Created,
    Drain,
    Dropped,
    ForSession,
    FromSession,
    IcePatched,
    PathSelected,
    Refused,
    RelaysChanged,
    SendRecord,
    SessionClosed,
    SessionsEvent,
    SessionsOutput,
    StateChanged,
)
from workers.transceiver.core.states import SessionState
from workers.transceiver.core.streams.interface import (
    BindLabel,
    CloseStream,
    ForwardStream,
    FrameReceived,
    OpenStream,
    ReceiveMedia,
    SendFrame,
    SendStreamReport,
    SetWay,
    UnbindLabel,
)
from workers.transceiver.desk import Desk
from workers.transceiver.equipment import make_exchange, make_remotes
from workers.transceiver.lives import Lives
from workers.transceiver.media import commands
from workers.transceiver.media.base import MediaPlane
from workers.transceiver.media.choice import open_plane
from workers.transceiver.meter import Meter, sets_up
from workers.transceiver.news import News
from workers.transceiver.pace import SHORTEST, Pace
from workers.transceiver.sideband_desk import SidebandDesk
from workers.wire.types import DropReason
from workers.worker import Worker

CLOSING_STREAMS: Final = 1024
"""Streams beyond those of the sessions that may live: closed ones of which the plane has not let go."""
NEWS: Final = 256
"""Events of sessions that are told at once; fewer, once a second."""
SLEPT_THROUGH: Final = 0.004
"""Seconds of rests that are slept through while frames are all that comes, until other tasks get their
turn: to come back to a task at a deadline costs trio as much as a turn costs us. A rest more may be added
to that (pace.LONGEST, media.base.GATHER), and no more: others wait for some 7 ms at most, and a turn."""
DRAIN_LOOK: Final = 0.25
"""Seconds between two looks at a drain deadline, which may be brought forward."""


class Transceiver:
    """Carries out what the cores want."""

    def __init__(
        self, worker: Worker, exchange: Exchange, plane: MediaPlane, links: Sequence[Links]
    ) -> None:
        """`links`: to back ends elsewhere."""
        self._worker = worker
        self._exchange = exchange
        self._sessions = exchange.sessions
        self._plane = plane
        self._links = links
        self._pace = Pace(trio.current_time())
        self._meter = Meter(exchange.handle, trio.current_time())
        self._urgent = False
        """Others wait for what the last turn has begun."""
        self._news: list[SessionEvent] = []
        self._told = News()
        self._lives = Lives(worker.log)
        self._sidebands = SidebandDesk(exchange, self._heed)
        self.desk: Final = Desk(exchange, self.handle, self._told, self._sidebands)
        self._sleep = trio.CancelScope()
        self._emptied = trio.Event()

    async def pump(self) -> None:
        """Serve media plane, back ends and timers for ever."""
        with select.epoll() as news:
            news.register(self._plane.descriptor, select.EPOLLIN)
            for descriptor in (d for links in self._links for d in links.descriptors):
                news.register(descriptor, select.EPOLLIN)
            yielded = trio.current_time()
            while True:
                now = trio.current_time()
                rest = self._turn(now)
                if rest and not self._urgent:
                    self._plane.rest(now + rest)
                    if now >= yielded + SLEPT_THROUGH:
                        await trio.lowlevel.checkpoint()
                        yielded = now
                    continue
                yielded = now
                if rest:
                    wake = now + rest
                elif self._anybody_waits():
                    wake = trio.current_time()
                else:
                    # Sound is due somewhere all the time: what is due within a pause shares a turn.
                    wake = max(self._next_wake(), trio.current_time() + SHORTEST)
                with trio.CancelScope(deadline=wake) as self._sleep:
                    if rest:
                        await trio.sleep_forever()
                    else:
                        await trio.lowlevel.wait_readable(news.fileno())

    def _turn(self, now: Instant) -> float:
        """Serve all that wait, within bounds; in how many seconds to look again, 0: when there is more."""
        plane, exchange = self._plane, self._exchange
        loans = plane.loans
        served, urgent, aside = 0 if loans is None else -loans.done, False, 0.0
        self._meter.tell(now)
        for links in self._links:
            # First: a frame that has come with the word that its session is accepted is heard.
            served += self._prompt(links, links.take(now), now)
        events = plane.take()
        for event in events:
            if type(event) is FrameReceived:
                served += self._carry_out(exchange.handle(event, now))
                continue
            urgent, began = True, time.perf_counter()
            served += self._carry_out(exchange.handle(event, now))
            if sets_up(event):
                aside += time.perf_counter() - began
        served += len(events)
        if self._next_wake() <= now:
            served += self._carry_out(exchange.handle_timeout(now))
        self._flush()
        if loans is not None:
            served += loans.done
        self._meter.add(trio.current_time() - now - aside)
        self._urgent = urgent
        return self._pace.rest(served, now, urgent=urgent)

    def _anybody_waits(self) -> bool:
        return self._plane.waiting or any(links.waiting for links in self._links)

    def _flush(self) -> None:
        self._plane.flush()
        now = trio.current_time()
        for links in self._links:
            links.flush(now)
        self._plane.flush()  # what was lent leaves after what was sent
        self._sidebands.flush()

    def _prompt(self, links: Links, wanted: list[ForSession], now: Instant) -> int:
        """Do what a back end wants that was not asked; how much that was."""
        touched = links.remote.touched
        if not wanted and not touched:
            return 0
        outputs = self._exchange.prompt(wanted, touched, now)
        touched.clear()
        return self._carry_out(outputs)

    async def keep_links(self) -> None:
        """Mind heartbeats and connections of back ends for ever."""
        while True:
            now = trio.current_time()
            for links in self._links:
                self._prompt(links, links.keep_time(now), now)
            self._finish()
            await trio.sleep(LOOK)

    def handle(self, event: SessionsEvent) -> list[SessionsOutput]:
        """Take an event that came from elsewhere than the link."""
        now = trio.current_time()
        self._meter.tell(now)
        outputs = self._exchange.handle(event, now)
        self._heed(outputs)
        return outputs

    def _heed(self, outputs: list[SessionsOutput]) -> None:
        self._carry_out(outputs)
        self._finish()

    def _finish(self) -> None:
        """After work that was not the pump's: what is new to it must wake it."""
        self._flush()
        wake = trio.current_time() if self._anybody_waits() else self._next_wake()
        self._sleep.deadline = min(self._sleep.deadline, wake)

    async def follow_relays(self) -> None:
        """Hear the relays that there are, as the supervisor says, and acknowledge it."""
        async for command in self._worker.commands:
            if isinstance(command, Relays):
                self.handle(RelaysChanged(frozenset(command.links)))
                self._plane.hear(command.links)
                self._plane.flush()
                await self._worker.send(RelaysApplied(command.serial))

    async def drain(self) -> None:
        """Wait to be told, then until the last session has ended or time is up."""
        worker = self._worker
        await worker.draining.wait()
        self.handle(Drain())
        while len(self._sessions) and trio.current_time() < (worker.drain_deadline or math.inf):
            with trio.move_on_after(DRAIN_LOOK):
                await self._emptied.wait()

    def stats(self) -> TransceiverStats:
        """A snapshot."""
        self._meter.tell(trio.current_time())
        counters, media = self._sessions.counters, self._plane.counters
        channels = counters.channels
        dropped: Counter[DropReason] = Counter()
        for each in (
            counters.dropped,
            counters.refused,
            media.dropped,
            media.undelivered,
            media.unsent,
            self._exchange.sidebands.dropped,
            *(links.remote.dropped for links in self._links),
        ):
            dropped += each
        return TransceiverStats(
            worker=self._worker.assignment.name,
            usage=self._worker.usage(),
            sessions=len(self._sessions),
            connected=self._sessions.connected,
            created_total=counters.created,
            closed={reason.value: count for reason, count in counters.closed.items()},
            records_in=media.records,
            records_out=media.records_out,
            audio_in=media.frames,
            audio_out=media.forwarded + media.played + counters.frames_out,
            dropped={reason.value: count for reason, count in dropped.items()},
            messages_in=channels.messages_in,
            messages_out=channels.messages_out,
            message_bytes_in=channels.bytes_in,
            message_bytes_out=channels.bytes_out,
            chunks_resent=channels.resent,
            quality=counters.quality.taken(),
            busy=round(self._sessions.busy, 3),
            backends={links.name: links.stats() for links in self._links},
        )

    def tell_news(self) -> None:
        """Publish what has happened to sessions: together, since each message wakes two processes."""
        if self._news:
            self._worker.publish(SessionEvents(self._worker.assignment.name, tuple(self._news)))
            self._news.clear()

    def _next_wake(self) -> float:
        deadline = self._exchange.next_timeout()
        return math.inf if deadline is None else deadline

    def _carry_out(self, outputs: list[SessionsOutput]) -> int:
        """How many there were."""
        for output in outputs:
            if type(output) is SendFrame:  # nearly all
                self._plane.send(output.stream, output.frame)
                continue
            match output:
                case SendRecord():
                    self._plane.send_record(output)
                case (
                    SendFrame()
                    | OpenStream()
                    | CloseStream()
                    | BindLabel()
                    | UnbindLabel()
                    | SetWay()
                ):
                    commands.carry_out(self._plane, output)
                case ForwardStream() | SendStreamReport() | ReceiveMedia():
                    commands.carry_out(self._plane, output)
                case FromSession():
                    if not isinstance(output.output, AudioReceived):
                        self._report(output)
                case Crashed():
                    self._worker.log.error(
                        "session crashed", session=output.session, exc_info=output.error
                    )
                case Created():
                    self._lives.begin(output, trio.current_time())
                    self._note(output.session, "created", f"for {output.backend}")
                case Dropped() | IcePatched() | Refused():
                    pass
                case _ as never:
                    assert_never(never)
        return len(outputs)

    def _report(self, event: FromSession) -> None:
        self._lives.hear(event, trio.current_time())
        match event.output:
            case StateChanged(state=SessionState.CONNECTED):
                self._note(event.session, "connected")
                self._told.add(SessionNews(event.session))
            case PathSelected(path=path):
                self._note(event.session, "path", str(path))
            case SessionClosed(reason=reason, detail=detail):
                self._note(event.session, "closed", f"{reason.value} {detail}".rstrip())
                self._told.add(SessionNews(event.session, reason, detail))
                if not len(self._sessions):
                    self._emptied.set()
                    self._emptied = trio.Event()
            case _:
                pass

    def _note(self, session: SessionId, what: str, detail: str = "") -> None:
        self._news.append(SessionEvent(session, what, detail, time.time()))
        if len(self._news) >= NEWS:
            self.tell_news()


async def serve(worker: Worker) -> None:
    """Be a transceiver until drained."""
    ((address, sock),) = worker.sockets(DescriptorKind.LINK)
    config = worker.config
    with (
        open_plane(
            config.transceiver.media,
            sock,
            mtu=config.link.mtu,
            peers=worker.assignment.peers,
            max_streams=config.transceiver.max_sessions + CLOSING_STREAMS,
            clock=trio.current_time,
            clock_offset=trio.current_time() - time.monotonic(),
        ) as (plane, note),
        RpcServer(worker.rpc_endpoint, log=worker.log, lost=worker.lost) as rpc,
        ExitStack() as stack,
    ):
        remotes = make_remotes(worker)
        built_in = {"echo": Echo(), "echo-pcm": EchoPcm(os.urandom)}
        exchange = make_exchange(worker, {**built_in, **remotes}, plane)
        links = [stack.enter_context(Links(remote)) for remote in remotes.values()]
        if plane.loans is not None:
            for remote in remotes.values():
                remote.employ(plane.loans, exchange.sessions.stream)
        transceiver = Transceiver(worker, exchange, plane, links)
        worker.set_load(lambda: len(exchange.sessions))
        worker.set_stats(transceiver.stats)
        worker.set_news(transceiver.tell_news)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(transceiver.pump)
            nursery.start_soon(transceiver.follow_relays)
            nursery.start_soon(rpc.serve, transceiver.desk.answer)
            if links:
                nursery.start_soon(transceiver.keep_links)
            await worker.ready(Ready(link=Endpoint(*address), rpc=rpc.endpoint, datapath=note))
            try:
                await transceiver.drain()
            finally:
                # Also when stopped: the peers learn it now instead of by a time-out.
                transceiver.handle(CloseAll(CloseReason.DRAINED))
                transceiver.tell_news()
                nursery.cancel_scope.cancel()
