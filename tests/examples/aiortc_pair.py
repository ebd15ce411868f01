"""Two aiortc clients that speak a tone each until both hear the other: `aiortc_pair.py URL SECONDS`.

What each then hears of both tones, or after that many seconds whatever it has heard.
"""

from __future__ import annotations

import array
import asyncio
import json
import sys
from contextlib import suppress
from typing import Final

import av
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription

from tests.interop.aiortc_peer import RATE, Tone, request, strength

PITCHES: Final = (440.0, 700.0)
CLEAR: Final = 0.8
WINDOW: Final = 25
"""Frames that are listened to together: half a second."""


async def call(url: str, pitch: float, within: float, both: asyncio.Barrier) -> dict[str, float]:
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
    (other,) = {*PITCHES} - {pitch}
    found = dict.fromkeys(PITCHES, 0.0)
    with suppress(TimeoutError):
        async with asyncio.timeout(within):
            while found[other] < CLEAR:
                await asyncio.sleep(0.5)
                loud = array.array("h", b"".join(map(bytes, heard[-WINDOW:])))
                for each in PITCHES:
                    found[each] = await asyncio.to_thread(strength, loud, RATE, each)
    await both.wait()  # who has heard enough is still to be heard
    for task in tasks:
        task.cancel()
    await peer.close()
    return {f"{each:g}": share for each, share in found.items()}


async def main(url: str, seconds: float) -> list[dict[str, float]]:
    """Both at once."""
    both = asyncio.Barrier(len(PITCHES))
    return await asyncio.gather(*(call(url, pitch, seconds, both) for pitch in PITCHES))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], float(sys.argv[2])))))
