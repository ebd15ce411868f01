"""Commands as values, carried out on a plane."""

from __future__ import annotations

from typing import assert_never

from workers.transceiver.core.streams.interface import (
    BindLabel,
    CloseStream,
    ForwardStream,
    OpenStream,
    ReceiveMedia,
    SendFrame,
    SendStreamReport,
    SetWay,
    StreamCommand,
    UnbindLabel,
)
from workers.transceiver.media.base import MediaPlane


def carry_out(plane: MediaPlane, command: StreamCommand) -> None:
    """Call the method that the command names."""
    match command:
        case SendFrame(stream, frame):
            plane.send(stream, frame)
        case SendStreamReport(stream, packet):
            plane.send_report(stream, packet)
        case BindLabel(at, stream):
            plane.bind(at, stream)
        case UnbindLabel(at):
            plane.unbind(at)
        case SetWay(stream, way):
            plane.set_way(stream, way)
        case ReceiveMedia(at, datagram, takes_way):
            plane.receive(at, datagram, takes_way=takes_way)
        case OpenStream(stream, keys, audio, ssrc, sequence):
            plane.open(stream, keys, audio, ssrc, sequence)
        case ForwardStream(stream, target):
            plane.forward(stream, target)
        case CloseStream(stream):
            plane.close(stream)
        case _:
            assert_never(command)
