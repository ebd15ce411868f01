"""The media of many calls in C: their sockets, their frames and what comes back, in one thread.

It is the transceiver's native plane with sockets in the place of its link. A call that has a circuit gives
its sockets away when it is connected; what is not media comes back in order, for its session.

    sockets --> RTP  --> the circuit's probe, which knows its frames again
            --> RTCP --> ReportArrived    \\
            --> all else --> DatagramReceived  > the call's session
                             MediaArrived /
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from config.ids import Endpoint
from workers.caller.echoes import Figures
from workers.caller.histogram import Histogram
from workers.caller.source import SilentOpus
from workers.transceiver.core.interface import (
    Codec,
    DatagramReceived,
    MediaArrived,
    OpenMedia,
    Path,
    RecordReceived,
    ReportArrived,
    SendAudio,
    SendRecord,
)
from workers.transceiver.core.streams.interface import (
    FrameReceived,
    LinkLabel,
    MediaSeen,
    ReportReceived,
    Stream,
    StreamClosed,
    StreamStats,
)
from workers.transceiver.media.native import NativePlane
from workers.wire.link import RecordType

WIRES: Final = 16
"""Paths that a circuit may have: each is a label."""
_NOWHERE: Final = Endpoint("0.0.0.0", 0)  # noqa: S104
"""The peer of a plane without a link, from which everything comes."""
_PLUG: Final = struct.Struct("=iI")
_PROBE: Final = struct.Struct("=QIIBBB5x128s")
_ADDRESS: Final = 24
_ROUND_TRIPS: Final = 2048

News: TypeAlias = DatagramReceived | ReportArrived | MediaArrived


class Trunk(NativePlane):
    """All circuits. Begin with `start`; `flush` after whatever may have asked it for something."""

    def __init__(self, circuits: int, clock_offset: float) -> None:
        """So many at a time; `clock_offset` as for `NativePlane`. Raises NotBuilt."""
        super().__init__(
            None, mtu=0, peers=[_NOWHERE], max_streams=circuits, clock_offset=clock_offset
        )
        self._free = list(range(circuits))
        self._circuits: dict[Stream, Circuit] = {}
        self._round_trips = self._ffi.new("uint32_t[]", _ROUND_TRIPS)
        self._echoes = self._ffi.new("mp_echoes *")
        self.latest = 0.0
        """Seconds by which the worst frame of a circuit that is closed was late."""

    def circuit(self, paths: Sequence[Path]) -> Circuit | None:
        """One for a call that may use these paths; None if there is none left, or they are too many."""
        if not self._free or len(paths) > WIRES:
            return None
        stream = self._free.pop()
        self._circuits[stream] = circuit = Circuit(self, stream, paths)
        return circuit

    def news(self) -> Iterator[tuple[Circuit, News]]:
        """What has come for the sessions, in order."""
        for event in self.take():
            match event:
                case RecordReceived(label=label, payload=payload):
                    circuit = self._circuits[label // WIRES]
                    yield circuit, DatagramReceived(circuit.path(label), payload)
                case ReportReceived(stream, packet, at):
                    yield self._circuits[stream], ReportArrived(packet, at)
                case MediaSeen(stream, by, _, way_at):
                    circuit = self._circuits[stream]
                    yield circuit, MediaArrived(circuit.path(by.label), way_at)
                case StreamClosed(stream):
                    del self._circuits[stream]
                    self._free.append(stream)
                case FrameReceived():
                    pass  # before the probe began

    def plug(self, first: int, fileno: int, remotes: Sequence[Endpoint]) -> None:
        """Read that socket, too; labels from `first` on are these addresses. Whose it is closes it."""
        addresses = b"".join(remote.pack().ljust(_ADDRESS, b"\0") for remote in remotes)
        body = _PLUG.pack(os.dup(fileno), len(remotes)) + addresses
        self._command(self._lib.MP_PLUG, 0, first, body=body)

    def unplug(self, first: int) -> None:
        """Read it no more."""
        self._command(self._lib.MP_UNPLUG, 0, first)

    def begin(self, stream: Stream, probe: bytes) -> None:
        """Let the stream say, and hear, what `_PROBE` is packed with."""
        self._command(self._lib.MP_PROBE, stream, body=probe)

    def hush(self, stream: Stream) -> None:
        """Say no more frames."""
        self._command(self._lib.MP_END_PROBE, stream)

    def echoes(self, stream: Stream) -> tuple[Figures, Histogram]:
        """What has come back of a stream's frames, and after how long."""
        lib, figures = self._lib, self.figures(stream)
        n = lib.mp_read_round_trips(self._plane, stream, self._round_trips, _ROUND_TRIPS)
        shortest, longest = self._echoes.shortest, self._echoes.longest
        return figures, Histogram.of(self._round_trips[0:n], shortest, longest)

    def figures(self, stream: Stream) -> Figures:
        """What has come back of a stream's frames."""
        figures, told = Figures(), self._echoes
        self._lib.mp_read_echoes(self._plane, stream, told)
        figures.sent, figures.received, figures.outstanding = (
            told.sent,
            told.received,
            told.outstanding,
        )
        figures.duplicates, figures.reordered = told.duplicates, told.reordered
        figures.foreign, figures.jitter = told.foreign, told.jitter
        figures.first_sent = told.first_sent or None
        figures.first_back, figures.last_back = told.first_back or None, told.last_back or None
        self.latest = max(self.latest, told.late)
        return figures


class Circuit:
    """A call's share of a trunk. Its figures stay when it is closed."""

    def __init__(self, trunk: Trunk, stream: Stream, paths: Sequence[Path]) -> None:
        self._trunk = trunk
        self._stream = stream
        self._paths = sorted(paths, key=lambda path: path.remote.is_ipv6)
        """In the order of their labels: those that share a socket are neighbours."""
        self._plugged: list[int] = []
        """First labels."""
        self._probes = False
        self._last: tuple[StreamStats, Figures, Histogram] | None = None
        """From when it was closed."""

    def path(self, label: int) -> Path:
        """What a label stands for."""
        return self._paths[label % WIRES]

    def _at(self, path: Path) -> LinkLabel:
        return LinkLabel(_NOWHERE, self._stream * WIRES + self._paths.index(path))

    # --- what a session says ------------------------------------------------------------------

    def open(self, media: OpenMedia) -> None:
        """There are keys."""
        self._trunk.open(self._stream, media.keys, media.audio, media.ssrc, media.sequence)
        for path in self._paths:
            self._trunk.bind(self._at(path), self._stream)

    def set_way(self, path: Path | None) -> None:
        """Where media is sent; None: nowhere."""
        self._trunk.set_way(self._stream, None if path is None else self._at(path))

    def send(self, frame: SendAudio) -> None:
        """One frame, beside those of the probe."""
        self._trunk.send(self._stream, frame)

    def send_report(self, packet: bytes) -> None:
        """One compound RTCP packet."""
        self._trunk.send_report(self._stream, packet)

    def send_datagram(self, path: Path, datagram: bytes) -> None:
        """One that is not media, in order with what else is sent."""
        label = self._at(path).label
        self._trunk.send_record(SendRecord(_NOWHERE, RecordType.DATA, 0, label, datagram))

    @property
    def stats(self) -> StreamStats:
        """What came and went."""
        return self._last[0] if self._last else self._trunk.stats(self._stream)

    # --- what a voice says --------------------------------------------------------------------

    def probe(self, source: SilentOpus, codec: Codec, *, frames: int, first_timestamp: int) -> None:
        """Say so many frames, and hear what comes back of them."""
        frame = source.frame(0)
        self._probes = True
        self._trunk.begin(
            self._stream,
            _PROBE.pack(
                frames,
                first_timestamp,
                source.step,
                codec.payload_type,
                source.NUMBER_AT,
                len(frame),
                frame,
            ),
        )

    def hush(self) -> None:
        """Say no more."""
        self._trunk.hush(self._stream)

    @property
    def figures(self) -> Figures:
        """What has come back."""
        if not self._probes:
            return Figures()
        return self._last[1] if self._last else self._trunk.figures(self._stream)

    @property
    def round_trips(self) -> Histogram:
        """Of what has come back."""
        if not self._probes:
            return Histogram()
        return self._last[2] if self._last else self._trunk.echoes(self._stream)[1]

    # --- what a line says ---------------------------------------------------------------------

    def plug(self, fileno: int, *, ipv6: bool) -> None:
        """Read the paths of that family from this socket, too, from now on: the caller reads it no more."""
        remotes = [path.remote for path in self._paths]
        first = next(i for i, remote in enumerate(remotes) if remote.is_ipv6 == ipv6)
        label = self._stream * WIRES + first
        self._trunk.plug(label, fileno, [r for r in remotes if r.is_ipv6 == ipv6])
        self._plugged.append(label)

    def unplug(self) -> None:
        """Read no socket."""
        for label in self._plugged:
            self._trunk.unplug(label)
        self._plugged.clear()

    def close(self) -> None:
        """The call is over."""
        self._last = (
            self.stats,
            *(self._trunk.echoes(self._stream) if self._probes else (Figures(), Histogram())),
        )
        self.unplug()
        self._trunk.close(self._stream)
