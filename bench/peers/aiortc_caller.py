"""A caller that shares no code with ours: `python -m bench.peers.aiortc_caller`, driven by lines.

A URL is called, with a tone, until an empty line: then one JSON object says what has come back lately,
and the call ends. It serves until its input does.
"""

from __future__ import annotations

import array
import asyncio
import json
import statistics
import sys
import urllib.parse
from collections import deque
from contextlib import suppress
from importlib import import_module
from typing import Any

import av
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from bench.peers.tone import PITCH, RATE, Tone, request, strength

LATELY = 25
"""Frames: half a second."""
PATIENCE = 5.0
"""Seconds for which so many are waited for, on a machine too busy to have brought them yet."""


class Call:
    """One, and what it hears."""

    def __init__(self) -> None:
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._heard: deque[tuple[int, array.array[int]]] = deque(maxlen=LATELY)
        self._ears: list[asyncio.Task[None]] = []
        self._resource = ""
        self.frames = 0
        self.enough = asyncio.Event()

    async def place(self, url: str) -> None:
        """Offer, and take the answer."""
        self._peer.addTrack(Tone())
        self._peer.on(
            "track", lambda track: self._ears.append(asyncio.ensure_future(self._listen(track)))
        )
        await self._peer.setLocalDescription(await self._peer.createOffer())
        offer = self._peer.localDescription.sdp
        _, location, answer = await asyncio.to_thread(request, "POST", url, offer)
        self._resource = urllib.parse.urljoin(url, location)
        await self._peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def _listen(self, track: MediaStreamTrack) -> None:
        while True:
            frame = await track.recv()
            assert isinstance(frame, av.AudioFrame)
            channels = len(frame.layout.channels)
            sound = array.array("h", bytes(frame.planes[0])[: frame.samples * 2 * channels])
            self._heard.append((frame.sample_rate, sound[::channels]))
            self.frames += 1
            if self.frames >= LATELY:
                self.enough.set()

    def verdict(self) -> dict[str, Any]:
        """Frames in all, and how much of the last ones is the tone, 0 to 1."""
        tones = [strength(sound, rate or RATE, PITCH) for rate, sound in self._heard]
        state = self._peer.connectionState
        return {"state": state, "frames": self.frames, "tone": statistics.fmean(tones or [0.0])}

    async def end(self) -> None:
        """Hang up."""
        for ear in self._ears:
            ear.cancel()
        if self._resource:
            how = (
                ("POST", f"{self._resource}/hangup")
                if "/v1/" in self._resource
                else ("DELETE", self._resource)
            )
            await asyncio.to_thread(request, *how)
        await self._peer.close()


async def main() -> None:
    """Serve."""
    ice: Any = import_module("aioice.ice")
    others = ice.get_host_addresses
    # By itself it leaves loopback out, where most of those are that it calls.
    ice.get_host_addresses = lambda **asked: ["127.0.0.1", *others(**asked)]
    print("ready", flush=True)
    while url := (await asyncio.to_thread(sys.stdin.readline)).strip():
        call, told = Call(), {"state": "", "frames": 0, "tone": 0.0}
        placing = asyncio.ensure_future(call.place(url))
        await asyncio.to_thread(sys.stdin.readline)
        try:
            await placing
            with suppress(TimeoutError):
                await asyncio.wait_for(call.enough.wait(), PATIENCE)
            told = call.verdict()
            await call.end()
        except (OSError, ValueError) as error:
            told["state"] = f"{type(error).__name__}: {error}"
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
