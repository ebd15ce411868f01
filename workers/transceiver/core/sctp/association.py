"""One SCTP association with data channels, behind one door (RFC 9260, RFC 8831).

    packet --parse--> chunks --> handshake, shutdown          here
                             --> DATA, FORWARD-TSN            Arrivals, Reassembly --> Channels
                             --> SACK                         Flight, Congestion, Rto
                             --> RE-CONFIG                    Resets --> Channels
    message --> Channels --> Outbox --window, Congestion--> Flight --> packets

Whatever the peer sends, `handle` does not raise, and what it can make us keep is bounded: by the
window on the way in, by the send buffer on the way out (a back end that answers everything slows a
peer that does not read, because what cannot leave makes the advertised window smaller).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, assert_never

from config.ids import Instant
from workers.transceiver.core.sctp.arrivals import Arrivals
from workers.transceiver.core.sctp.channels import Channels
from workers.transceiver.core.sctp.congestion import Congestion
from workers.transceiver.core.sctp.flight import Flight
from workers.transceiver.core.sctp.handshake import (
    MAX_ATTEMPTS,
    MAX_COOKIE,
    Handshake,
    Peer,
    read_peer,
)
from workers.transceiver.core.sctp.heartbeat import Heartbeats
from workers.transceiver.core.sctp.interface import (
    Abort,
    AssociationClosed,
    AssociationEvent,
    AssociationOutput,
    CloseCause,
    CloseChannel,
    Dropped,
    OpenChannel,
    PacketReceived,
    Parameters,
    SendMessage,
    SendPacket,
    Shutdown,
    Violation,
)
from workers.transceiver.core.sctp.outbox import Outbox
from workers.transceiver.core.sctp.reassembly import MAX_STREAMS, Message, Reassembly
from workers.transceiver.core.sctp.reset import Resets
from workers.transceiver.core.sctp.rto import MAX_FAILURES, Retry, Rto
from workers.transceiver.core.sctp.serial import TSN_MASK, unwrap_tsn
from workers.transceiver.core.sctp.states import (
    OPENING,
    RECEIVES,
    SENDS,
    TRANSITIONS,
    AssociationState,
)
from workers.wire import sctp_chunks as wire
from workers.wire.sctp import (
    DATA_HEADER_LENGTH,
    HEADER_LENGTH,
    encode_chunk,
    encode_packet,
    parse_packet,
)
from workers.wire.types import DropReason, Malformed

MAX_BURST: Final = 32
"""Packets with data sent in one turn; acknowledgements of these bring the next turn."""
MAX_HEARTBEAT: Final = 1024
"""Bytes of a heartbeat that we echo."""
_CAUSES: Final = {
    CloseCause.ABORTED: wire.Cause.USER_ABORT,
    CloseCause.PEER_LOST: wire.Cause.USER_ABORT,
    CloseCause.PROTOCOL_VIOLATION: wire.Cause.PROTOCOL_VIOLATION,
    CloseCause.MESSAGE_TOO_BIG: wire.Cause.OUT_OF_RESOURCE,
}
_S: Final = AssociationState


class Association:
    """Sans-IO: `now` is passed in, what is to be done comes out as a list of outputs."""

    def __init__(self, parameters: Parameters, entropy: Callable[[int], bytes]) -> None:
        self.state = _S.CLOSED
        self._parameters: Final = parameters
        self._handshake: Final = Handshake(entropy, parameters.window)
        self._peer = Peer(0, 0, 0, MAX_STREAMS, False, False)
        self._channels: Final = Channels(parameters)
        self._rto: Final = Rto()
        self._congestion: Final = Congestion(parameters.max_packet)
        self._outbox = Outbox()
        self._flight = Flight(self._handshake.initial_tsn)
        self._arrivals = Arrivals(0)
        self._reassembly = Reassembly(parameters.window, parameters.max_message)
        self._resets = Resets(self._handshake.initial_tsn, 0)
        self._heartbeats: Final = Heartbeats()
        self._peer_window = 0
        self._advertised = parameters.window
        self._control: list[bytes] = []
        self._outputs: list[AssociationOutput] = []
        self._retry: Final = Retry()
        """Of INIT, COOKIE ECHO, SHUTDOWN or SHUTDOWN ACK: `_repeated` is what it sends again."""
        self._repeated = b""
        self._attempts = 0
        self._failures = 0
        self._resend_at: Instant | None = None
        self._fast = False
        self._sent_at: Instant = 0.0
        self._data_came = self._sack_at_once = False
        self._timeout: Instant | None = None

    @property
    def buffered(self) -> int:
        """Bytes of messages that the peer has not acknowledged, charges included."""
        return self._outbox.queued + self._flight.held

    @property
    def kept(self) -> int:
        """Bytes that came and wait for others before them, charges included."""
        return self._reassembly.buffered

    # --- the one door -----------------------------------------------------------------------------

    def start(self, now: Instant) -> list[AssociationOutput]:
        """The DTLS connection stands: send an INIT, if we are to."""
        if self._parameters.initiate and self.state is _S.CLOSED:
            self._enter(_S.COOKIE_WAIT)
            self._repeat(self._handshake.init(), now)
        return self._turn(now)

    def handle(self, event: AssociationEvent, now: Instant) -> list[AssociationOutput]:
        """Take one event."""
        if self.state is _S.GONE:
            return [Dropped(DropReason.UNEXPECTED_STATE)]
        dropped: DropReason | None = None
        match event:
            case PacketReceived():
                self._on_packet(event.packet, now)
            case SendMessage():
                dropped = self._send(event, now)
            case OpenChannel():
                dropped = self._open(event)
            case CloseChannel():
                dropped = self._channels.close(event.channel)
            case Shutdown():
                dropped = self._shut_down()
            case Abort():
                self._abort(CloseCause.ABORTED)
            case _:
                assert_never(event)
        if dropped is not None:
            self._outputs.append(Dropped(dropped))
        return self._turn(now)

    def next_timeout(self) -> Instant | None:
        """When `handle_timeout` has something to do."""
        return self._timeout

    def handle_timeout(self, now: Instant) -> list[AssociationOutput]:
        """Send again what was not answered, acknowledge what waits, ask after the peer."""
        if self._retry.due(now):
            self._attempts += 1
            if self._attempts > MAX_ATTEMPTS:
                self._abort(CloseCause.PEER_LOST)
                return self._turn(now)
            self._retry.again(now)
            self._control.append(self._repeated)
        if self._resend_at is not None and now >= self._resend_at:
            self._failures += 1
            self._congestion.expired()
            self._flight.expire(now, reneged=self._failures > 1)
            self._rto.back_off()
            self._resend_at = now + self._rto.value
        if self._resets.retry.due(now):
            self._failures += 1
            self._control.append(encode_chunk(self._resets.repeat(now)))
        if self._heartbeats.due(now):
            self._failures += self._heartbeats.unanswered
            self._control.append(encode_chunk(self._heartbeats.beat(now, self._rto.value)))
        if self._failures > MAX_FAILURES:
            self._abort(CloseCause.PEER_LOST)
        return self._turn(now)

    # --- what we are told -------------------------------------------------------------------------

    def _open(self, event: OpenChannel) -> DropReason | None:
        if self.state not in OPENING and self.state is not _S.ESTABLISHED:
            return DropReason.UNEXPECTED_STATE
        taken = frozenset(s for s in range(MAX_STREAMS) if self._resets.pending(s))
        return self._channels.open(event, taken, self._peer.inbound)

    def _send(self, event: SendMessage, now: Instant) -> DropReason | None:
        if self.state not in OPENING and self.state is not _S.ESTABLISHED:
            return DropReason.UNEXPECTED_STATE
        if self.buffered + len(event.payload) > self._parameters.send_buffer:
            return DropReason.QUEUE_FULL
        return self._channels.send(event, now)

    def _shut_down(self) -> DropReason | None:
        if self.state in OPENING:
            self._abort(CloseCause.SHUTDOWN)
        elif self.state is _S.ESTABLISHED:
            self._enter(_S.SHUTDOWN_PENDING)
        else:
            return DropReason.UNEXPECTED_STATE
        return None

    # --- packets ----------------------------------------------------------------------------------

    def _on_packet(self, datagram: bytes, now: Instant) -> None:
        try:
            packet = parse_packet(datagram)
        except Malformed as error:
            self._drop(error.reason)
            return
        ours = (self._parameters.remote_port, self._parameters.local_port)
        first = packet.chunks[0]
        if (packet.source, packet.destination) != ours:
            self._drop(DropReason.UNKNOWN_PEER)
        elif isinstance(first, wire.Init) and not first.ack:
            self._on_init(first, alone=packet.tag == 0 and len(packet.chunks) == 1)
        elif packet.tag != self._handshake.tag and not (
            isinstance(first, wire.Abort | wire.ShutdownComplete)
            and first.reflected
            and packet.tag == self._peer.tag
        ):
            self._drop(DropReason.UNKNOWN_PEER)
        else:
            self._on_chunks(packet.chunks, now)

    def _on_chunks(self, chunks: list[wire.Chunk], now: Instant) -> None:
        self._data_came = self._sack_at_once = False
        try:
            for chunk in chunks:
                if isinstance(chunk, wire.Data):
                    self._on_data(chunk)
                elif not self._on_chunk(chunk, now):
                    break
                if self.state is _S.GONE:
                    return
        except Violation as violation:
            self._abort(violation.cause)
            return
        if self._data_came:
            at_once = self._sack_at_once or self.state is _S.SHUTDOWN_SENT
            self._arrivals.packet(now, at_once=at_once)
            if self.state is _S.SHUTDOWN_SENT:
                self._control.append(self._shutdown_chunk())

    def _on_chunk(self, chunk: wire.Chunk, now: Instant) -> bool:
        """Take any chunk but DATA; False if the rest of the packet is to be left alone."""
        match chunk:
            case wire.Sack():
                self._on_sack(chunk, now)
            case wire.ForwardTsn():
                self._on_forward(chunk)
            case wire.ReConfig():
                self._on_reconfig(chunk)
            case wire.Heartbeat(ack=True):
                round_trip = self._heartbeats.answered(chunk.info, now)
                if round_trip is not None:
                    self._failures = 0
                    self._rto.measure(round_trip)
            case wire.Heartbeat():
                if self.state in OPENING or len(chunk.info) > MAX_HEARTBEAT:
                    self._drop(DropReason.UNEXPECTED_STATE)
                else:
                    self._control.append(encode_chunk(wire.Heartbeat(True, chunk.info)))
            case wire.Init():
                self._on_init_ack(chunk, now)
            case wire.CookieEcho():
                return self._on_cookie(chunk.cookie, now)
            case wire.CookieAck():
                if self.state is _S.COOKIE_ECHOED:
                    self._establish(now)
            case wire.Abort():
                self._close(CloseCause.PEER_ABORTED)
            case wire.Shutdown():
                self._on_shutdown(chunk, now)
            case wire.ShutdownAck():
                if self.state in (_S.SHUTDOWN_SENT, _S.SHUTDOWN_ACK_SENT):
                    self._last(encode_chunk(wire.ShutdownComplete(False)), CloseCause.SHUTDOWN)
            case wire.ShutdownComplete():
                if self.state is _S.SHUTDOWN_ACK_SENT:
                    self._close(CloseCause.SHUTDOWN)
            case wire.Error():
                self._drop(DropReason.UNSUPPORTED)
            case wire.UnknownChunk():
                self._drop(DropReason.UNSUPPORTED)
                if chunk.type & wire.REPORT_BIT and self.state not in OPENING:
                    cause = wire.Parameter(
                        wire.Cause.UNRECOGNIZED_CHUNK, encode_chunk(chunk._replace(value=b""))
                    )
                    self._control.append(encode_chunk(wire.Error((cause,))))
                return bool(chunk.type & wire.SKIP_BIT)
            case wire.Data():
                raise AssertionError("DATA has a way of its own")
            case _:
                assert_never(chunk)
        return True

    # --- handshake --------------------------------------------------------------------------------

    def _on_init(self, init: wire.Init, *, alone: bool) -> None:
        answer = self._handshake.answer(init) if alone and self.state in OPENING else None
        if answer is None:
            self._drop(DropReason.UNEXPECTED_STATE)
        else:
            self._emit([answer], init.tag)

    def _on_init_ack(self, init: wire.Init, now: Instant) -> None:
        peer, cookie = read_peer(init), init.parameter(wire.ParameterType.STATE_COOKIE)
        if self.state is not _S.COOKIE_WAIT or not cookie or len(cookie) > MAX_COOKIE or not peer:
            self._drop(DropReason.UNEXPECTED_STATE)
            return
        self._meet(peer)
        self._enter(_S.COOKIE_ECHOED)
        self._repeat(encode_chunk(wire.CookieEcho(cookie)), now)

    def _on_cookie(self, cookie: bytes, now: Instant) -> bool:
        peer = self._handshake.redeem(cookie)
        if peer is None or (self.state not in OPENING and peer.tag != self._peer.tag):
            self._drop(DropReason.BAD_INTEGRITY)
            return False
        if self.state in OPENING:
            self._meet(peer)
            self._establish(now)
        self._control.append(encode_chunk(wire.CookieAck()))
        return True

    def _meet(self, peer: Peer) -> None:
        self._peer = peer
        self._peer_window = peer.a_rwnd
        self._flight.partial = peer.forward_tsn
        self._arrivals = Arrivals(peer.initial_tsn)
        self._resets = Resets(self._handshake.initial_tsn, peer.initial_tsn)

    def _establish(self, now: Instant) -> None:
        self._retry.stop()
        self._heartbeats.postpone(now, self._rto.value)
        self._enter(_S.ESTABLISHED)

    # --- what comes -------------------------------------------------------------------------------

    def _on_data(self, data: wire.Data) -> None:
        if self.state not in RECEIVES:
            self._drop(DropReason.UNEXPECTED_STATE)
            return
        if not data.payload:
            raise Violation(CloseCause.PROTOCOL_VIOLATION)
        self._data_came = True
        self._sack_at_once |= data.immediate
        arrivals, reassembly = self._arrivals, self._reassembly
        tsn = unwrap_tsn(data.tsn, arrivals.cumulative)
        if arrivals.has(tsn):
            arrivals.repeated(tsn)
            return
        next_one = tsn == arrivals.cumulative + 1
        if not (arrivals.admits(tsn) and reassembly.admits(len(data.payload), next_one=next_one)):
            self._sack_at_once = True
            self._drop(DropReason.QUEUE_FULL)
            return
        arrivals.add(tsn)
        if data.stream >= MAX_STREAMS:
            self._drop(DropReason.UNKNOWN_CHANNEL)
            value = data.stream.to_bytes(2, "big") + b"\0\0"
            cause = wire.Parameter(wire.Cause.INVALID_STREAM, value)
            self._control.append(encode_chunk(wire.Error((cause,))))
            return
        self._deliver(reassembly.add(tsn, data))

    def _deliver(self, messages: list[Message]) -> None:
        for message in messages:
            output = self._channels.receive(message)
            if output is not None:
                self._outputs.append(output)

    def _on_forward(self, chunk: wire.ForwardTsn) -> None:
        if self.state not in RECEIVES:
            self._drop(DropReason.UNEXPECTED_STATE)
            return
        cumulative = unwrap_tsn(chunk.cumulative, self._arrivals.cumulative)
        self._data_came = self._sack_at_once = True
        if cumulative > self._arrivals.cumulative:
            self._arrivals.skip(cumulative)
            self._deliver(self._reassembly.skip(cumulative, chunk.streams))

    # --- what left --------------------------------------------------------------------------------

    def _on_sack(self, sack: wire.Sack, now: Instant) -> None:
        self._acknowledge(sack.cumulative, sack.gaps, sack.a_rwnd, now)

    def _acknowledge(
        self, wire_tsn: int, gaps: tuple[tuple[int, int], ...], window: int | None, now: Instant
    ) -> None:
        if self.state in OPENING:
            self._drop(DropReason.UNEXPECTED_STATE)
            return
        cumulative = unwrap_tsn(wire_tsn, self._flight.cumulative)
        report = self._flight.acknowledge(cumulative, gaps, now)
        if report is None:
            return
        if window is not None:
            self._peer_window = window
        if report.round_trip is not None:
            self._rto.measure(report.round_trip)
        if report.progress:
            self._failures = 0
            self._heartbeats.postpone(now, self._rto.value)
        elif self._peer_window == 0:
            self._failures = 0  # it is there, it only does not read
        if report.cumulative:
            self._congestion.acknowledged(report.cumulative, report.flight, cumulative)
        if report.loss:
            self._congestion.lost(self._flight.next - 1)
            self._fast = True
        if not len(self._flight):
            self._resend_at = None
        elif report.cumulative or report.loss:
            self._resend_at = now + self._rto.value

    def _on_reconfig(self, chunk: wire.ReConfig) -> None:
        if self.state in OPENING:
            self._drop(DropReason.UNEXPECTED_STATE)
            return
        for parameter in chunk.parameters:
            match parameter:
                case wire.OutgoingReset():
                    verdict = self._resets.judge(parameter, self._arrivals.cumulative)
                case wire.OtherRequest():
                    verdict = self._resets.deny(parameter.request)
                case wire.ResetResponse():
                    self._failures = 0
                    for stream in self._resets.answered(parameter) or ():
                        self._outbox.reset(stream)
                        self._outputs += self._channels.we_reset((stream,))
                    continue
                case _:
                    assert_never(parameter)
            self._control.append(encode_chunk(verdict.response))
            if verdict.streams is not None:
                self._reassembly.reset(verdict.streams)
                self._outputs += self._channels.peer_reset(verdict.streams)

    # --- the end ----------------------------------------------------------------------------------

    def _on_shutdown(self, chunk: wire.Shutdown, now: Instant) -> None:
        self._acknowledge(chunk.cumulative, (), None, now)
        if self.state in (_S.ESTABLISHED, _S.SHUTDOWN_PENDING):
            self._enter(_S.SHUTDOWN_RECEIVED)
        elif self.state is _S.SHUTDOWN_SENT:
            self._enter(_S.SHUTDOWN_ACK_SENT)
            self._repeat(encode_chunk(wire.ShutdownAck()), now)

    def _shutdown_chunk(self) -> bytes:
        return encode_chunk(wire.Shutdown(self._arrivals.cumulative & TSN_MASK))

    def _if_drained(self, now: Instant) -> None:
        """A shutdown goes on when everything that was sent has arrived."""
        if self._outbox.queued or len(self._flight):
            return
        if self.state is _S.SHUTDOWN_PENDING:
            self._enter(_S.SHUTDOWN_SENT)
            self._repeat(self._shutdown_chunk(), now)
        elif self.state is _S.SHUTDOWN_RECEIVED:
            self._enter(_S.SHUTDOWN_ACK_SENT)
            self._repeat(encode_chunk(wire.ShutdownAck()), now)

    def _abort(self, cause: CloseCause) -> None:
        if self._peer.tag:
            reason = wire.Parameter(_CAUSES.get(cause, wire.Cause.USER_ABORT), b"")
            self._last(encode_chunk(wire.Abort(False, (reason,))), cause)
        else:
            self._close(cause)

    def _last(self, chunk: bytes, cause: CloseCause) -> None:
        self._emit([chunk], self._peer.tag)
        self._close(cause)

    def _close(self, cause: CloseCause) -> None:
        self._enter(_S.GONE)
        self._outputs += self._channels.close_all()
        self._outputs.append(AssociationClosed(cause))
        self._control.clear()
        self._channels.outgoing.clear()
        self._outbox = Outbox()
        self._flight = Flight(self._handshake.initial_tsn)
        self._reassembly = Reassembly(self._parameters.window, self._parameters.max_message)

    # --- the end of a turn ------------------------------------------------------------------------

    def _turn(self, now: Instant) -> list[AssociationOutput]:
        """Send what may leave; hand out the outputs."""
        if self.state is _S.GONE:
            self._timeout = None
        else:
            self._collect(now)
            self._if_drained(now)
            self._flush(now)
            self._timeout = self._earliest_timeout()
        outputs, self._outputs = self._outputs, []
        return outputs

    def _collect(self, now: Instant) -> None:
        """Take over what the channels want sent or reset."""
        channels = self._channels
        if channels.outgoing:
            for message in channels.outgoing:
                self._outbox.push(message)
            channels.outgoing.clear()
        if self.state in OPENING:
            return
        self._outputs += channels.announce()
        if channels.to_reset:
            streams, channels.to_reset = (*channels.to_reset,), []
            if self._peer.re_config:
                for stream in streams:
                    self._resets.want(stream)
            else:
                self._outputs += channels.we_reset(streams)
                self._outputs += channels.peer_reset(streams)
        if self.state is _S.ESTABLISHED:
            request = self._resets.begin(self._settled, self._flight.next - 1, now, self._rto.value)
            if request is not None:
                self._control.append(encode_chunk(request))

    def _settled(self, stream: int) -> bool:
        return not self._outbox.has(stream) and self._flight.arrived(stream)

    def _flush(self, now: Instant) -> None:
        arrivals = self._arrivals
        if (
            self._advertised < self._parameters.window // 4
            and self._window() >= self._parameters.window // 2
            and self.state in RECEIVES
        ):
            arrivals.at = now  # the peer may be waiting for this
        packets = 0
        while self._control or packets < MAX_BURST:
            packets += 1
            room = self._parameters.max_packet - HEADER_LENGTH
            chunks: list[bytes] = []
            while self._control and len(self._control[0]) <= room:
                room -= len(self._control[0])
                chunks.append(self._control.pop(0))
            if arrivals.at is not None and (arrivals.at <= now or self._may_send(now)):
                sack = encode_chunk(self._sack())
                if len(sack) > room:
                    self._emit(chunks, self._peer.tag)
                    chunks, room = [], self._parameters.max_packet - HEADER_LENGTH
                room -= len(sack)
                chunks.append(sack)
            if self.state in SENDS:
                self._fill(chunks, room, now)
            if not chunks:
                break
            self._emit(chunks, self._peer.tag)
        self._fast = False

    def _fill(self, chunks: list[bytes], room: int, now: Instant) -> None:
        """Lost chunks first, then new ones, as far as the packet and the windows allow."""
        flight, outbox = self._flight, self._outbox
        forward = flight.forward()
        if forward is not None:
            encoded = encode_chunk(forward)
            chunks.append(encoded)
            room -= len(encoded)
        left = False
        while (size := flight.lost()) is not None and size <= room:
            if flight.flying >= self._congestion.window and not self._fast:
                break
            chunks.append(flight.resend(now))
            room -= size
            left = True
        self._fast = self._fast and not left
        full = self._parameters.max_packet - HEADER_LENGTH - DATA_HEADER_LENGTH
        while flight.lost() is None and self._window_open():
            space = room - DATA_HEADER_LENGTH
            if space <= 0 or (message := outbox.head(now)) is None:
                break
            rest = len(message.payload) - message.offset
            size = DATA_HEADER_LENGTH + min(rest, space)
            if len(flight) and flight.flying + size > self._peer_window:
                break
            if rest > space and space < full * 3 // 4:
                break
            if self._sent_at and now - self._sent_at > self._rto.value and not len(flight):
                self._congestion.idle()
            begin = message.offset == 0
            payload = outbox.take(message, space)
            chunk = flight.send(message, payload, begin=begin, now=now)
            chunks.append(chunk)
            room -= len(chunk)
            self._sent_at = now
            left = True
        if (left or forward is not None) and self._resend_at is None:
            self._resend_at = now + self._rto.value

    def _window_open(self) -> bool:
        """Theirs and the network's; with nothing on its way, one chunk probes a closed one."""
        flight = self._flight
        if not len(flight):
            return True
        return flight.flying < min(self._congestion.window, self._peer_window) and not flight.full

    def _may_send(self, now: Instant) -> bool:
        if self.state not in SENDS:
            return False
        if self._flight.lost() is not None:
            return self._flight.flying < self._congestion.window
        return self._window_open() and self._outbox.head(now) is not None

    def _window(self) -> int:
        backlog = self._parameters.send_buffer // 2 - self.buffered
        return max(0, min(self._reassembly.room(), backlog))

    def _sack(self) -> wire.Sack:
        self._advertised = self._window()
        return self._arrivals.sack(self._advertised)

    def _repeat(self, chunk: bytes, now: Instant) -> None:
        """Send a chunk, and again until it is answered."""
        self._repeated, self._attempts = chunk, 0
        self._retry.start(now, self._rto.value)
        self._control.append(chunk)

    def _emit(self, chunks: list[bytes], tag: int) -> None:
        parameters = self._parameters
        packet = encode_packet(parameters.local_port, parameters.remote_port, tag, chunks)
        self._outputs.append(SendPacket(packet))

    def _earliest_timeout(self) -> Instant | None:
        deadlines = (
            self._retry.at,
            self._resend_at,
            self._resets.retry.at,
            self._arrivals.at,
            self._heartbeats.at,
        )
        return min((at for at in deadlines if at is not None), default=None)

    def _enter(self, state: AssociationState) -> None:
        if state not in TRANSITIONS[self.state]:
            raise AssertionError(f"{self.state} -> {state}")
        self.state = state

    def _drop(self, reason: DropReason) -> None:
        self._outputs.append(Dropped(reason))
