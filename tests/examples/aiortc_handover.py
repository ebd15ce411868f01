"""Two aiortc clients that hear each other, and a third that takes over.

    python -m tests.examples.aiortc_handover URL KEY SECONDS

Each speaks a tone of its own. Prints what each hears of the three while there are two, and after the third
has come, once that is as it should be, or after so many seconds in any case.
"""

from __future__ import annotations

import array
import asyncio
import json
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Final

import av
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription

from bench.peers.tone import RATE, Tone
from tests.examples.voices import AFTER, BEFORE, PITCHES, is_as_it_should_be
from tests.support.sound import strength

WINDOW: Final = 25
"""Frames that are listened to together: half a second."""
THINNED: Final = 3
"""Of so many samples one is enough for these pitches."""


def post(url: str, bearer: str, body: bytes, kind: str) -> tuple[str, str]:
    """Location and body of the reply."""
    headers = {"Authorization": f"Bearer {bearer}", "Content-Type": kind}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=20) as reply:
        return reply.headers["Location"] or "", reply.read().decode()


class Caller:
    """Speaks one pitch, and can say of all how loud they are now."""

    def __init__(self, name: str) -> None:
        self.peer = RTCPeerConnection()
        self.peer.addTrack(Tone(PITCHES[name]))
        self.peer.on("track", self._begin)
        self._heard: list[bytes] = []
        self._listening: asyncio.Task[None] | None = None

    async def call(self, url: str, bearer: str) -> str:
        """The name of the call."""
        await self.peer.setLocalDescription(await self.peer.createOffer())
        offer = self.peer.localDescription.sdp.encode()
        location, answer = await asyncio.to_thread(
            post, f"{url}/v1/realtime/calls", bearer, offer, "application/sdp"
        )
        await self.peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        return location.rpartition("/")[2]

    def hears(self) -> dict[str, float]:
        """The share of each in the last half second."""
        pcm = b"".join(self._heard[-WINDOW:])
        shares = (strength(pcm, RATE // THINNED, pitch) for pitch in PITCHES.values())
        return {name: round(share, 3) for name, share in zip(PITCHES, shares, strict=True)}

    async def leave(self) -> None:
        """Hang up."""
        if self._listening is not None:
            self._listening.cancel()
        await self.peer.close()

    def _begin(self, track: MediaStreamTrack) -> None:
        self._listening = asyncio.ensure_future(self._listen(track))

    async def _listen(self, track: MediaStreamTrack) -> None:
        while True:
            frame = await track.recv()
            assert isinstance(frame, av.AudioFrame)
            channels = len(frame.layout.channels)
            samples = array.array("h", bytes(frame.planes[0])[: frame.samples * 2 * channels])
            self._heard.append(samples[:: channels * THINNED].tobytes())


async def listen(
    callers: Mapping[str, Caller], should: Mapping[str, set[str]], until: float
) -> dict[str, dict[str, float]]:
    """What each hears, once it is right or the time is over."""
    while True:
        await asyncio.sleep(0.5)
        found = {name: caller.hears() for name, caller in callers.items()}
        if is_as_it_should_be(found, should) or time.monotonic() > until:
            return found


async def main(url: str, key: str, seconds: float) -> Sequence[object]:
    """The pair, then all three."""
    until = time.monotonic() + seconds
    callers = {name: Caller(name) for name in BEFORE}
    first, _ = [await caller.call(url, key) for caller in callers.values()]
    before = await listen(callers, BEFORE, until)
    metadata = {"metadata": {"join": first, "as": "take-over"}}
    _, made = await asyncio.to_thread(
        post,
        f"{url}/v1/realtime/client_secrets",
        key,
        json.dumps(metadata).encode(),
        "application/json",
    )
    callers["human"] = Caller("human")
    await callers["human"].call(url, json.loads(made)["value"])
    after = await listen(callers, AFTER, until)
    for caller in callers.values():
        await caller.leave()
    return before, after


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))))
