"""Two aiortc clients that speak a tone each, and what each hears of both: `aiortc_pair.py URL SECONDS`."""

from __future__ import annotations

import array
import asyncio
import json
import sys

import av
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription

from tests.interop.aiortc_peer import RATE, Tone, request, strength

PITCHES = (440.0, 700.0)


async def call(url: str, pitch: float, seconds: float) -> dict[str, float]:
    """Speak one pitch, measure all."""
    peer = RTCPeerConnection()
    peer.addTrack(Tone(pitch))
    heard: list[array.array[int]] = []

    async def listen(track: MediaStreamTrack) -> None:
        while True:
            frame = await track.recv()
            assert isinstance(frame, av.AudioFrame)
            channels = len(frame.layout.channels)
            samples = array.array("h", bytes(frame.planes[0])[: frame.samples * 2 * channels])
            heard.append(samples[::channels])

    tasks: list[asyncio.Task[None]] = []
    peer.on("track", lambda track: tasks.append(asyncio.ensure_future(listen(track))))
    await peer.setLocalDescription(await peer.createOffer())
    _, _, answer = await asyncio.to_thread(
        request, "POST", f"{url}/v1/realtime/calls", peer.localDescription.sdp
    )
    await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    await asyncio.sleep(seconds)
    loud = array.array("h")
    for frame in heard[-50:-25]:
        loud.extend(frame)
    for task in tasks:
        task.cancel()
    await peer.close()
    return {f"{pitch:g}": strength(loud, RATE, pitch) for pitch in PITCHES}


async def main(url: str, seconds: float) -> list[dict[str, float]]:
    """Both at once."""
    return await asyncio.gather(*(call(url, pitch, seconds) for pitch in PITCHES))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], float(sys.argv[2])))))
