"""An echo on aiortc: `python -m bench.peers.aiortc_echo [--transcode]`.

aiortc decodes what comes and encodes what goes. An echo need not: unless told to, this one hands Opus
frames through as they are, by giving aiortc a decoder that makes packets of them, which its sender takes
as well. Everything else is aiortc as it comes: jitter buffer, reports, statistics, consent.
"""

from __future__ import annotations

import asyncio
import fractions
import sys
from importlib import import_module
from typing import Any

import av
from aiortc import RTCPeerConnection, RTCSessionDescription

from bench.peers.door import serve

CLOCK = fractions.Fraction(1, 48_000)


class Through:
    """A decoder for aiortc that decodes nothing."""

    def decode(self, encoded: Any) -> list[av.Packet[Any]]:
        """The frame as a packet."""
        packet: av.Packet[Any] = av.Packet(encoded.data)
        packet.pts = encoded.timestamp
        packet.time_base = CLOCK
        return [packet]


async def place(offer: str) -> tuple[str, RTCPeerConnection]:
    """Answer, and echo the track."""
    call = RTCPeerConnection()
    call.on("track", call.addTrack)
    await call.setRemoteDescription(RTCSessionDescription(offer, "offer"))
    await call.setLocalDescription(await call.createAnswer())
    return call.localDescription.sdp, call


async def end(call: RTCPeerConnection) -> None:
    """Hang up."""
    await call.close()


if __name__ == "__main__":
    if "--transcode" not in sys.argv:
        receiver: Any = import_module("aiortc.rtcrtpreceiver")
        receiver.get_decoder = lambda codec: Through()
    asyncio.run(serve(place, end))
