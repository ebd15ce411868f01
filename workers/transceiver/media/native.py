"""The media plane in C, seen from Python: commands down, events up, figures read.

The C thread (workers/native/media.c) owns the receiving side of the link and, from `open` to
`StreamClosed`, the SRTP contexts; they are made here and freed here, when it has let go of them.
"""

from __future__ import annotations

import struct
import weakref
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from typing import Any, Final, Protocol

from config.ids import PACKED_ENDPOINT_LENGTH, Endpoint, Instant
from workers.native import load_media
from workers.transceiver.core.interface import RecordReceived, SendRecord
from workers.transceiver.core.srtp import MAX_PACKET, Srtp, SrtpKeys, function_addresses
from workers.transceiver.core.streams.interface import (
    AudioParameters,
    AudioReceived,
    FrameReceived,
    LinkLabel,
    MediaSeen,
    ReportReceived,
    SendAudio,
    Stream,
    StreamClosed,
    StreamStats,
)
from workers.transceiver.media.base import GATHER, PlaneCounters, PlaneEvent
from workers.transceiver.media.native_loans import NativeLoans
from workers.wire.link import RecordType
from workers.wire.types import DropReason

_EVENT: Final = struct.Struct("=4xIdIIIIHBB?3x")
_COMMAND: Final = struct.Struct("=IBBBBII")
_OPEN: Final = struct.Struct("=QQIHBB8I128s")
_INSTANT: Final = struct.Struct("=d")
_STATS: Final = struct.Struct("=qqqqdqqqdqqqdqq")
_MAX_EVENTS: Final = 1024
_ROOM: Final = 1 << 18
"""Bytes of events that one look brings; the rest waits in the ring. The longest record has 64 KiB."""
_MAX_ENDPOINTS: Final = 1024
_RELAY: Final = PACKED_ENDPOINT_LENGTH
_PADDING: Final = bytes(24 - _RELAY)
_NOBODY: Final = 0xFFFFFFFF
_GATHER_NS: Final = round(GATHER * 1e9)
_RECORD_TYPES: Final = {int(t): t for t in RecordType}
_RATES: Final = 7
"""Clock rates that a stream's codecs may have."""

_DROPPED: Final = (
    DropReason.UNKNOWN_PEER,
    DropReason.MALFORMED_LINK,
    DropReason.QUEUE_FULL,
    DropReason.OVERSIZE,
    DropReason.UNEXPECTED_STATE,
    DropReason.MALFORMED_RTP,
    DropReason.SOURCE_LIMIT,
    DropReason.SRTP_AUTHENTICATION,
    DropReason.SRTP_REPLAY,
    DropReason.UNKNOWN_PAYLOAD_TYPE,
)
_UNSENT: Final = (
    DropReason.UNEXPECTED_STATE,
    DropReason.QUEUE_FULL,
    DropReason.UNKNOWN_SESSION,
    DropReason.UNKNOWN_PAYLOAD_TYPE,
    DropReason.UNKNOWN_FLOW,
    DropReason.UNKNOWN_PEER,
    DropReason.OVERSIZE,
    DropReason.SRTP_REPLAY,
    DropReason.SRTP_AUTHENTICATION,
    DropReason.SEND_WOULD_BLOCK,
    DropReason.SEND_REFUSED,
    DropReason.SEND_UNREACHABLE,
    DropReason.SEND_TOO_BIG,
    DropReason.SEND_NO_BUFFERS,
)


class LinkSocket(Protocol):
    """What is asked of the link's socket."""

    def fileno(self) -> int:
        """Its descriptor."""


class NativePlane:
    """See `base`. The socket is bound and non-blocking, stays with its owner, and is read by nobody else.

    Without `start` nothing moves but by `turn`, as tests want it.
    """

    def __init__(
        self,
        link: LinkSocket | None,
        *,
        mtu: int,
        peers: Iterable[Endpoint],
        max_streams: int,
        clock_offset: float = 0.0,
    ) -> None:
        """`mtu`: most bytes in a link datagram. Stream numbers are below `max_streams`.

        `link`: None if streams have sockets of their own (workers/caller/trunk.py). `clock_offset`: what
        the shell's clock shows more than CLOCK_MONOTONIC, in seconds. Raises NotBuilt.
        """
        module = load_media()
        self._ffi, self._lib = ffi, lib = module.ffi, module.lib
        functions = ffi.new("uint64_t[4]", function_addresses())
        fileno = -1 if link is None else link.fileno()
        self._plane = lib.mp_new(fileno, mtu, max_streams, clock_offset, functions)
        if self._plane == ffi.NULL:
            raise MemoryError("no memory for the media plane")
        self._threaded = self._stopped = False
        self._owners: dict[Stream, Srtp] = {}
        self._leaving: defaultdict[Stream, deque[Srtp | None]] = defaultdict(deque)
        """Contexts of closed streams, until the thread has let go of them."""
        # However this object ends, the thread ends before the contexts do.
        self._end = weakref.finalize(self, _free, lib, self._plane, self._owners, self._leaving)
        self._max_streams = max_streams
        self._clock_offset = clock_offset
        self._events = ffi.new("mp_event[]", _MAX_EVENTS)
        self._heads = memoryview(ffi.buffer(self._events))
        self._block = ffi.new("uint8_t[]", _ROOM)
        self._used = ffi.new("uint32_t *")
        self._heard = ffi.new("uint32_t *")
        self._numbers = ffi.new("uint64_t[]", lib.MP_COUNTERS)
        self._stats = ffi.new("mp_stats *")
        self._commands: list[bytes] = []
        """Given since the last flush, or kept because the ring was full."""
        self._starved = False
        """It was; `take` will be due when there is room."""
        self._endpoints: dict[bytes, Endpoint] = {}
        self._packed: dict[Endpoint, bytes] = {}
        self._refused: Counter[DropReason] = Counter()
        self._frame = lib.MP_SEND
        self.loans: Final = NativeLoans(ffi, lib, self._plane)
        self.descriptor: Final[int] = lib.mp_event_fd(self._plane)
        self.hear(peers)
        self.flush()
        self.turn(0.0, with_link=False)

    def start(self, cpu: int | None = None) -> None:
        """Let a thread of its own do the work from now on, pinned to that CPU."""
        if self._lib.mp_start(self._plane, -1 if cpu is None else cpu):
            raise OSError("the media plane's thread cannot be started")
        self._threaded = True

    def turn(self, now: Instant, *, with_link: bool = True) -> Instant | None:
        """A round of the thread's work, in its absence; `now` is CLOCK_MONOTONIC's.

        When the next one is due though nothing comes; until then the link may be left alone.
        """
        if self._threaded:
            return None
        due = self._lib.mp_round(self._plane, round(now * 1e9), with_link)
        return None if due < 0 else due / 1e9

    def stop(self) -> None:
        """Carry out what was asked for, then touch neither link nor keys any more."""
        if self._stopped:
            return
        self._lib.mp_stop(self._plane)
        self._threaded = False
        while True:
            self.flush()
            self.turn(0.0, with_link=False)
            if not self._commands:
                break
        self._stopped = True

    def end(self) -> None:
        """Stop, and give memory and keys back. Nothing may be called any more."""
        self.stop()
        self._end()

    # --- up -----------------------------------------------------------------------------------

    def take(self) -> list[PlaneEvent]:
        """What has happened since, in order."""
        n = self._lib.mp_take(
            self._plane, self._events, _MAX_EVENTS, self._block, _ROOM, self._used, self._heard
        )
        self.loans.done += self._heard[0]
        self._heard[0] = 0
        if self._starved:
            self.flush()  # not earlier: the call for more that follows must not be taken for the last one
        block = self._ffi.buffer(self._block, self._used[0])[:]
        lib, new = self._lib, tuple.__new__
        frame, record, report = lib.MP_EVENT_FRAME, lib.MP_EVENT_RECORD, lib.MP_EVENT_REPORT
        closed = lib.MP_EVENT_CLOSED
        events: list[PlaneEvent] = []
        append = events.append
        for (
            stream, at, start, end, timestamp, ssrc, sequence, kind, type_, marker,
        ) in _EVENT.iter_unpack(self._heads[: n * _EVENT.size]):  # fmt: skip
            if kind == frame:
                audio = AudioReceived(block[start:end], type_, sequence, timestamp, marker, ssrc)
                # As `FrameReceived(...)`, without the cost of its generated constructor.
                append(new(FrameReceived, (stream, audio, at)))
            elif kind == record:
                relay, payload = self._endpoint(block, start), block[start + _RELAY : end]
                type_ = _RECORD_TYPES[type_]
                append(RecordReceived(relay, type_, sequence, timestamp, payload))
            elif kind == report:
                append(ReportReceived(stream, block[start:end], at))
            elif kind == closed:
                self._let_go(stream)
                append(StreamClosed(stream))
            else:
                by = LinkLabel(self._endpoint(block, start), timestamp)
                append(MediaSeen(stream, by, at, *_INSTANT.unpack_from(block, start + _RELAY)))
        return events

    def _let_go(self, stream: Stream) -> None:
        self.loans.forget(stream)
        leaving = self._leaving[stream]
        leaving.popleft()
        if not leaving:
            del self._leaving[stream]

    def _endpoint(self, block: bytes, start: int) -> Endpoint:
        packed = block[start : start + _RELAY]
        endpoint = self._endpoints.get(packed)
        if endpoint is None:
            if len(self._endpoints) >= _MAX_ENDPOINTS:
                self._endpoints.clear()
            endpoint = self._endpoints[packed] = Endpoint.unpack(packed)
        return endpoint

    @property
    def waiting(self) -> bool:
        """The descriptor tells of all."""
        return False

    @property
    def counters(self) -> PlaneCounters:
        """As they stood after the thread's last round."""
        n, lib = self._numbers, self._lib
        lib.mp_read_counters(self._plane, n)
        return PlaneCounters(
            datagrams=n[lib.MP_DATAGRAMS],
            records=n[lib.MP_RECORDS],
            raised=n[lib.MP_RAISED],
            frames=n[lib.MP_FRAMES],
            reports=n[lib.MP_REPORTS],
            dropped=_by_reason(_DROPPED, n, lib.MP_DROPPED_UNKNOWN_PEER),
            handed_up=n[lib.MP_HANDED_UP],
            forwarded=n[lib.MP_FORWARDED],
            played=n[lib.MP_PLAYED],
            undelivered=_by_reason(_UNSENT, n, lib.MP_UNDELIVERED),
            records_out=n[lib.MP_RECORDS_OUT],
            unsent=_by_reason(_UNSENT, n, lib.MP_UNSENT) + self._refused,
        )

    def stats(self, stream: Stream) -> StreamStats:
        """That stream's figures."""
        if self._lib.mp_read_stats(self._plane, stream, self._stats):
            raise ValueError(f"there is no stream {stream}")
        return StreamStats._make(_STATS.unpack(self._ffi.buffer(self._stats)))

    # --- down ---------------------------------------------------------------------------------

    def open(
        self, stream: Stream, keys: SrtpKeys, audio: AudioParameters, ssrc: int, sequence: int
    ) -> None:
        """Receive and send with these keys. `ssrc` and the first `sequence` are those we send with."""
        if stream in self._owners:
            raise ValueError(f"stream {stream} is open already")
        if self._stopped:
            return
        rates = sorted({codec.clock_rate for codec in audio.codecs})[:_RATES]
        rate_of = bytearray(128)
        for codec in audio.codecs:
            if codec.clock_rate in rates:
                rate_of[codec.payload_type] = 1 + rates.index(codec.clock_rate)
        owner = Srtp(keys)
        outbound, inbound = owner.contexts
        body = _OPEN.pack(
            inbound, outbound, ssrc, sequence, audio.receives, audio.sends,
            0, *rates, *(0 for _ in range(_RATES - len(rates))), bytes(rate_of),
        )  # fmt: skip
        self._command(self._lib.MP_OPEN, stream, body=body)
        self._owners[stream] = owner

    def close(self, stream: Stream) -> None:
        """Forget the stream, its bindings and its forwarding; `StreamClosed` follows."""
        self._command(self._lib.MP_CLOSE, stream)
        self._leaving[stream].append(self._owners.pop(stream, None))

    def bind(self, at: LinkLabel, stream: Stream) -> None:
        """That label's media is this stream's from now on, whosever it was."""
        self._command(self._lib.MP_BIND, stream, at.label, self._pack(at.relay))

    def unbind(self, at: LinkLabel) -> None:
        """That label's records go up again."""
        self._command(self._lib.MP_UNBIND, 0, at.label, self._pack(at.relay))

    def set_way(self, stream: Stream, way: LinkLabel | None) -> None:
        """Where the stream's media is sent; None: nowhere."""
        if way is None:
            self._command(self._lib.MP_SET_WAY, stream)
        else:
            self._command(self._lib.MP_SET_WAY, stream, way.label, self._pack(way.relay))

    def forward(self, stream: Stream, target: Stream | None) -> None:
        """What comes on `stream` leaves on `target` (itself: an echo); None: it goes up."""
        self._command(self._lib.MP_FORWARD, stream, _NOBODY if target is None else target)

    def send(self, stream: Stream, frame: SendAudio) -> None:
        """Send one frame."""
        payload, payload_type = frame.payload, frame.payload_type
        if len(payload) > MAX_PACKET:
            self._refused[DropReason.OVERSIZE] += 1
        elif not 0 <= payload_type < 128:
            self._refused[DropReason.UNKNOWN_PAYLOAD_TYPE] += 1
        else:
            second = payload_type | 0x80 if frame.marker else payload_type
            self._commands += (
                _COMMAND.pack(
                    _COMMAND.size + len(payload),
                    self._frame, second, 0, 0, stream, frame.timestamp & 0xFFFFFFFF,
                ),
                payload,
            )  # fmt: skip

    def send_report(self, stream: Stream, packet: bytes) -> None:
        """Encrypt and send one compound RTCP packet."""
        self._command(self._lib.MP_SEND_REPORT, stream, body=packet)

    def send_record(self, record: SendRecord) -> None:
        """Send a record that is not media."""
        body = self._pack(record.relay) + record.payload
        head = _COMMAND.pack(
            _COMMAND.size + len(body),
            self._lib.MP_SEND_RECORD, record.type, record.flags, 1, 0, record.label,
        )  # fmt: skip
        self._commands.append(head + body)

    def receive(self, at: LinkLabel, datagram: bytes, *, takes_way: bool = False) -> None:
        """Treat a datagram as if a DATA record with that label had brought it (wire.md 2, INTRO)."""
        body = self._pack(at.relay) + datagram
        head = _COMMAND.pack(
            _COMMAND.size + len(body), self._lib.MP_RECEIVE, 0, takes_way, 1, 0, at.label
        )
        self._commands.append(head + body)

    def hear(self, peers: Iterable[Endpoint]) -> None:
        """From now on these are the relays; bindings and ways of those who are none any more are gone."""
        body = b"".join(map(self._pack, peers))
        self._packed.clear()
        head = _COMMAND.pack(_COMMAND.size + len(body), self._lib.MP_SET_PEERS, 0, 0, 0, 0, 0)
        self._commands.append(head + body)

    def rest(self, until: Instant) -> None:
        """Sleep until the thread has ended a round that began then or later; at most GATHER longer."""
        begin = round((until - self._clock_offset) * 1e9)
        self._lib.mp_rest(self._plane, begin, begin + _GATHER_NS)

    def flush(self) -> None:
        """Begin to carry out what was asked for since the last flush."""
        commands = b"".join(self._commands)
        self._commands.clear()
        if self._stopped or not (commands or self.loans.was_busy):
            return
        self.loans.was_busy = False
        done = self._lib.mp_push(self._plane, commands, len(commands))
        self._starved = done < len(commands)
        if self._starved:
            self._commands.append(commands[done:])
        self._lib.mp_wake(self._plane)

    def _pack(self, relay: Endpoint) -> bytes:
        packed = self._packed.get(relay)
        if packed is None:
            if len(self._packed) >= _MAX_ENDPOINTS:
                self._packed.clear()
            packed = self._packed[relay] = relay.pack() + _PADDING
        return packed

    def _command(
        self, kind: int, stream: Stream, value: int = 0, relay: bytes = b"", body: bytes = b""
    ) -> None:
        if not 0 <= stream < self._max_streams:
            raise ValueError(f"there is no stream {stream}")
        size = _COMMAND.size + len(relay) + len(body)
        head = _COMMAND.pack(size, kind, 0, 0, bool(relay), stream, value)
        self._commands.append(head + relay + body)


def _free(lib: Any, plane: Any, *_owners: object) -> None:
    """The owners are arguments so that they live until the thread has ended."""
    lib.mp_free(plane)


def _by_reason(reasons: tuple[DropReason, ...], numbers: Any, first: int) -> Counter[DropReason]:
    return Counter({r: numbers[first + i] for i, r in enumerate(reasons) if numbers[first + i]})
