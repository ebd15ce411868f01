"""An aiortc client in a process of its own: speaks a tone to an appliance, prints what came back.

    python tests/interop/aiortc_peer.py URL PATH SECONDS [--loss SHARE] [--setup ROLE] [--host ADDRESS]

SHARE of its own packets are lost on purpose, 0 to 1. ROLE is what it offers for DTLS instead of `actpass`.
ADDRESS is the only one that it calls from; by itself it leaves loopback out.

aiortc lives on asyncio and loads half of FFmpeg, neither of which belongs into the test process.
"""

from __future__ import annotations

import argparse
import array
import asyncio
import json
import math
import random
import re
import statistics

import av
from aioice import ice
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.rtcdtlstransport import RTCDtlsTransport

from bench.peers.tone import PITCH, RATE, Tone, request, strength


def lose(share: float) -> None:
    """Lose that share of the RTP that any connection sends."""
    chance, send = random.Random(1), RTCDtlsTransport._send_rtp

    async def lossy(self: RTCDtlsTransport, data: bytes) -> None:
        is_rtcp = 192 <= data[1] <= 223
        if is_rtcp or chance.random() >= share:
            await send(self, data)

    RTCDtlsTransport._send_rtp = lossy  # type: ignore[method-assign]


async def main(url: str, path: str, seconds: float, setup: str) -> dict[str, object]:
    """Call, talk, hang up."""
    peer = RTCPeerConnection()
    peer.addTrack(Tone())
    heard: list[array.array[int]] = []
    rates: set[int] = set()

    async def listen(track: MediaStreamTrack) -> None:
        while True:
            frame = await track.recv()
            assert isinstance(frame, av.AudioFrame)
            channels = len(frame.layout.channels)
            heard.append(array.array("h", bytes(frame.planes[0])[: frame.samples * 2 * channels]))
            heard[-1] = heard[-1][::channels]
            rates.add(frame.sample_rate)

    tasks: list[asyncio.Task[None]] = []
    peer.on("track", lambda track: tasks.append(asyncio.ensure_future(listen(track))))
    await peer.setLocalDescription(await peer.createOffer())
    offer = peer.localDescription.sdp.replace("a=setup:actpass", f"a=setup:{setup}")
    status, location, answer = await asyncio.to_thread(request, "POST", url + path, offer)
    await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    await asyncio.sleep(seconds)
    state = peer.connectionState
    loud = array.array("h")
    for frame in heard[len(heard) // 2 :][:25]:
        loud.extend(frame)
    rate = rates.pop() if rates else RATE
    # By frame: a jitter buffer that jumps once is heard once, where one sum over all would cancel out.
    tones = [strength(frame, rate, PITCH) for frame in heard[len(heard) // 2 :][:25]]
    if path.startswith("/whip"):
        ended = (await asyncio.to_thread(request, "DELETE", url + location))[0]
    else:
        ended = (await asyncio.to_thread(request, "POST", f"{url}{location}/hangup"))[0]
    for task in tasks:
        task.cancel()
    await peer.close()
    return {
        "status": status,
        "location": location,
        "ended": ended,
        "state": state,
        "frames": len(heard),
        "rms": math.sqrt(sum(s * s for s in loud) / len(loud)) if loud else 0.0,
        "answered": sorted(set(re.findall(r"a=setup:(\w+)", answer))),
        "tone": statistics.fmean(tones) if tones else 0.0,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("path")
    parser.add_argument("seconds", type=float)
    parser.add_argument("--loss", type=float, default=0.0)
    parser.add_argument("--setup", default="actpass")
    parser.add_argument("--host")
    asked = parser.parse_args()
    lose(asked.loss)
    if asked.host:
        ice.get_host_addresses = lambda **_: [asked.host]
    print(json.dumps(asyncio.run(main(asked.url, asked.path, asked.seconds, asked.setup))))
