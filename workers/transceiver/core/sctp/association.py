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
from workers.transceiver.core.sctp.bundle import bundle
from workers.transceiver.core.sctp.channels import Channels
from workers.transceiver.core.sctp.complaint import (
    encode_abort,
    encode_invalid_stream,
    encode_unrecognized,
)
from workers.transceiver.core.sctp.handshake import MAX_COOKIE, NOBODY, Handshake, Peer, read_peer
from workers.transceiver.core.sctp.heartbeat import MAX_INFO, Heartbeats
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
)
from workers.transceiver.core.sctp.life import Life
from workers.transceiver.core.sctp.reassembly import MAX_STREAMS, Message, ProtocolError
from workers.transceiver.core.sctp.receiver import Receiver
from workers.transceiver.core.sctp.reset import Resets
from workers.transceiver.core.sctp.rto import MAX_FAILURES
from workers.transceiver.core.sctp.sender import Sender
from workers.transceiver.core.sctp.serial import TSN_MASK
from workers.transceiver.core.sctp.snap import introduce
from workers.transceiver.core.sctp.states import RECEIVES, SENDS, AssociationState
from workers.transceiver.core.sctp.tally import Tally
from workers.wire import sctp_chunks as wire
from workers.wire.sctp import HEADER_LENGTH, encode_chunk, encode_packet, parse_init, parse_packet
from workers.wire.types import DropReason, Malformed

_S: Final = AssociationState
_OPENING: Final = (wire.Init, wire.CookieEcho, wire.CookieAck, wire.Abort)


class Association:
    """Sans-IO: `now` is passed in, what is to be done comes out as a list of outputs."""

    def __init__(
        self, parameters: Parameters, entropy: Callable[[int], bytes], tally: Tally | None = None
    ) -> None:
        """`tally`: counts what it carries, beside that of others."""
        self._parameters: Final = parameters
        self._tally: Final = tally or Tally()
        said = parse_init(parameters.our_init) if parameters.our_init else None
        self._handshake: Final = Handshake(entropy, parameters.window, said)
        self._peer = NOBODY
        self.channels: Final = Channels(parameters, self._tally)
        self._sender = Sender(self._handshake.initial_tsn, parameters.max_packet, self._tally)
        self._receiver = Receiver(0, parameters.window, parameters.max_message)
        self._resets = Resets(self._handshake.initial_tsn, 0)
        self._heartbeats: Final = Heartbeats()
        self._control: list[bytes] = []
        self._life: Final = Life(self._control)
        self._outputs: list[AssociationOutput] = []
        self._failures = 0
        self._data_came = self._sack_at_once = False
        self._timeout: Instant | None = None

    @property
    def state(self) -> AssociationState:
        """Where it stands."""
        return self._life.state

    @property
    def buffered(self) -> int:
        """Bytes of messages that the peer has not acknowledged, charges included."""
        return self._sender.buffered

    @property
    def kept(self) -> int:
        """Bytes that came and wait for others before them, charges included."""
        return self._receiver.kept

    # --- the one door -----------------------------------------------------------------------------

    def start(self, now: Instant) -> list[AssociationOutput]:
        """The DTLS connection stands: send an INIT, if we are to, or none if the SDP had both."""
        if self._parameters.our_init and self._parameters.their_init:
            self._meet(introduce(self._parameters.their_init))
            self._establish(now)
        elif self._parameters.initiate:
            self._life.greet(self._handshake.init(), now, self._sender.rto.value)
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
                dropped = self.channels.close(event.channel)
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
        if not self._life.again(now):
            self._abort(CloseCause.PEER_LOST)
            return self._turn(now)
        resend_at = self._sender.resend_at
        if resend_at is not None and now >= resend_at:
            self._failures += 1
            self._sender.expire(now, again=self._failures > 1)
        if self._resets.retry.due(now):
            self._failures += 1
            self._control.append(encode_chunk(self._resets.repeat(now)))
        if self._heartbeats.due(now):
            self._failures += self._heartbeats.unanswered
            self._control.append(encode_chunk(self._heartbeats.beat(now, self._sender.rto.value)))
        if self._failures > MAX_FAILURES:
            self._abort(CloseCause.PEER_LOST)
        return self._turn(now)

    # --- what we are told -------------------------------------------------------------------------

    def _open(self, event: OpenChannel) -> DropReason | None:
        if not self._life.opening and self.state is not _S.ESTABLISHED:
            return DropReason.UNEXPECTED_STATE
        taken = frozenset(s for s in range(MAX_STREAMS) if self._resets.pending(s))
        return self.channels.open(event, taken, self._peer.inbound)

    def _send(self, event: SendMessage, now: Instant) -> DropReason | None:
        if not self._life.opening and self.state is not _S.ESTABLISHED:
            return DropReason.UNEXPECTED_STATE
        if self.buffered + len(event.payload) > self._parameters.send_buffer:
            return DropReason.QUEUE_FULL
        return self.channels.send(event, now)

    def _shut_down(self) -> DropReason | None:
        if self._life.opening:
            self._abort(CloseCause.SHUTDOWN)
        elif self.state is _S.ESTABLISHED:
            self._life.enter(_S.SHUTDOWN_PENDING)
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
        except ProtocolError as violation:
            self._abort(violation.cause)
            return
        if self._data_came:
            at_once = self._sack_at_once or self.state is _S.SHUTDOWN_SENT
            self._receiver.arrivals.packet(now, at_once=at_once)
            if self.state is _S.SHUTDOWN_SENT:
                cumulative = self._receiver.arrivals.cumulative & TSN_MASK
                self._control.append(encode_chunk(wire.Shutdown(cumulative)))

    def _on_chunk(self, chunk: wire.Chunk, now: Instant) -> bool:
        """Take any chunk but DATA; False if the rest of the packet is to be left alone."""
        if self._life.opening and not isinstance(chunk, _OPENING):
            self._drop(DropReason.UNEXPECTED_STATE)
            return False
        match chunk:
            case wire.Sack():
                self._acknowledge(chunk.cumulative, chunk.gaps, chunk.a_rwnd, now)
            case wire.ForwardTsn():
                self._on_forward(chunk)
            case wire.ReConfig():
                self._on_reconfig(chunk)
            case wire.Heartbeat(ack=True):
                round_trip = self._heartbeats.answered(chunk.info, now)
                if round_trip is not None:
                    self._failures = 0
                    self._sender.rto.measure(round_trip)
            case wire.Heartbeat():
                if len(chunk.info) > MAX_INFO:
                    self._drop(DropReason.OVERSIZE)
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
                self._acknowledge(chunk.cumulative, (), None, now)
                self._life.peer_shuts_down(now, self._sender.rto.value)
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
                if chunk.type & wire.REPORT_BIT:
                    self._control.append(encode_unrecognized(chunk))
                return bool(chunk.type & wire.SKIP_BIT)
            case wire.Data():
                raise AssertionError("DATA has a way of its own")
            case _:
                assert_never(chunk)
        return True

    def _on_init(self, init: wire.Init, *, alone: bool) -> None:
        answer = self._handshake.answer(init) if alone and self._life.opening else None
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
        self._life.echo(cookie, now, self._sender.rto.value)

    def _on_cookie(self, cookie: bytes, now: Instant) -> bool:
        peer = self._handshake.redeem(cookie)
        if peer is None or (not self._life.opening and peer.tag != self._peer.tag):
            self._drop(DropReason.BAD_INTEGRITY)
            return False
        if self._life.opening:
            self._meet(peer)
            self._establish(now)
        self._control.append(encode_chunk(wire.CookieAck()))
        return True

    def _meet(self, peer: Peer) -> None:
        self._peer = peer
        self._sender.peer_window = peer.a_rwnd
        self._sender.flight.partial = peer.forward_tsn
        parameters = self._parameters
        self._receiver = Receiver(peer.initial_tsn, parameters.window, parameters.max_message)
        self._resets = Resets(self._handshake.initial_tsn, peer.initial_tsn)

    def _establish(self, now: Instant) -> None:
        self._life.establish()
        self._heartbeats.postpone(now, self._sender.rto.value)

    # --- what comes -------------------------------------------------------------------------------

    def _on_data(self, data: wire.Data) -> None:
        if self.state not in RECEIVES:
            self._drop(DropReason.UNEXPECTED_STATE)
            return
        self._data_came = True
        self._sack_at_once |= data.immediate
        full = self.buffered + self.kept > self._parameters.send_buffer // 4 * 3
        messages = self._receiver.data(data, full=full)
        if not isinstance(messages, DropReason):
            self._deliver(messages)
            return
        self._sack_at_once = True
        self._drop(messages)
        if messages is DropReason.UNKNOWN_CHANNEL:
            self._control.append(encode_invalid_stream(data.stream))

    def _deliver(self, messages: list[Message]) -> None:
        self._outputs += filter(None, map(self.channels.receive, messages))

    def _on_forward(self, chunk: wire.ForwardTsn) -> None:
        if self.state not in RECEIVES:
            self._drop(DropReason.UNEXPECTED_STATE)
            return
        self._data_came = self._sack_at_once = True
        self._deliver(self._receiver.forward(chunk))

    def _acknowledge(
        self, tsn: int, gaps: tuple[tuple[int, int], ...], window: int | None, now: Instant
    ) -> None:
        report = self._sender.acknowledge(tsn, gaps, window, now)
        if report is None:
            return
        if report.progress:
            self._failures = 0
            self._heartbeats.postpone(now, self._sender.rto.value)
        elif not self._sender.peer_window:
            self._failures = 0  # it is there, it only does not read

    def _on_reconfig(self, chunk: wire.ReConfig) -> None:
        outcome = self._resets.handle(chunk, self._receiver.arrivals.cumulative)
        self._control += map(encode_chunk, outcome.responses)
        if outcome.ours:
            self._failures = 0
            for stream in outcome.ours:
                self._sender.outbox.reset(stream)
            self._outputs += self.channels.we_reset(outcome.ours)
        for streams in outcome.theirs:
            self._receiver.reset(streams)
            self._outputs += self.channels.peer_reset(streams)

    # --- the end ----------------------------------------------------------------------------------

    def _abort(self, cause: CloseCause) -> None:
        if self._peer.tag:
            self._last(encode_abort(cause), cause)
        else:
            self._close(cause)

    def _last(self, chunk: bytes, cause: CloseCause) -> None:
        self._emit([chunk], self._peer.tag)
        self._close(cause)

    def _close(self, cause: CloseCause) -> None:
        self._life.enter(_S.GONE)
        self._outputs += self.channels.close_all()
        self._outputs.append(AssociationClosed(cause))
        self._control.clear()
        self.channels.outgoing.clear()
        # What it kept may be much; what is left of it may live as long as its session.
        self._sender = Sender(self._handshake.initial_tsn, self._parameters.max_packet, self._tally)
        self._meet(NOBODY)

    # --- the end of a turn ------------------------------------------------------------------------

    def _turn(self, now: Instant) -> list[AssociationOutput]:
        """Send what may leave; hand out the outputs."""
        if self.state is _S.GONE:
            self._timeout = None
        else:
            self._collect(now)
            if self._sender.drained:
                cumulative = self._receiver.arrivals.cumulative & TSN_MASK
                self._life.drained(cumulative, now, self._sender.rto.value)
            self._flush(now)
            self._timeout = self._earliest_timeout()
        outputs, self._outputs = self._outputs, []
        return outputs

    def _collect(self, now: Instant) -> None:
        """Take over what the channels want sent or reset."""
        channels = self.channels
        for message in channels.outgoing:
            self._sender.outbox.push(message)
        channels.outgoing.clear()
        if self._life.opening:
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
            sender, last = self._sender, self._sender.flight.next - 1
            request = self._resets.begin(sender.settled, last, now, sender.rto.value)
            if request is not None:
                self._control.append(encode_chunk(request))

    def _flush(self, now: Instant) -> None:
        sender = self._sender if self.state in SENDS else None
        backlog = self._parameters.send_buffer // 2 - self.buffered
        if self.state in RECEIVES and self._receiver.reopened(backlog):
            self._receiver.arrivals.at = now
        room = self._parameters.max_packet - HEADER_LENGTH
        for chunks in bundle(self._control, self._receiver, sender, room, backlog, now):
            self._emit(chunks, self._peer.tag)

    def _emit(self, chunks: list[bytes], tag: int) -> None:
        parameters = self._parameters
        packet = encode_packet(parameters.local_port, parameters.remote_port, tag, chunks)
        self._outputs.append(SendPacket(packet))

    def _earliest_timeout(self) -> Instant | None:
        sending = (self._life.at, self._sender.resend_at, self._resets.retry.at)
        deadlines = (*sending, self._receiver.arrivals.at, self._heartbeats.at)
        return min((at for at in deadlines if at is not None), default=None)

    def _drop(self, reason: DropReason) -> None:
        self._outputs.append(Dropped(reason))
