"""A client with a data channel of events, in a process of its own: `sideband_caller.py URL [KEY]`.

Prints a line of JSON for its call and for each event that it hears; a line that it reads is an event that
it says. At the end of its input it hangs up.
"""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request

from aiortc import RTCPeerConnection, RTCSessionDescription

from bench.peers.tone import Tone


def post(url: str, key: str, body: str = "") -> tuple[str, str]:
    """Location and body of the answer."""
    headers = {"content-type": "application/sdp"}
    if key:
        headers["authorization"] = f"Bearer {key}"
    call = urllib.request.Request(url, body.encode(), headers, method="POST")
    with urllib.request.urlopen(call, timeout=60) as response:
        return response.headers["location"] or "", response.read().decode()


async def main(url: str, key: str = "") -> None:
    """Call, pass on events, hang up."""
    peer = RTCPeerConnection()
    peer.addTrack(Tone())
    channel = peer.createDataChannel("oai-events")
    channel.on("message", lambda message: print(message, flush=True))
    await peer.setLocalDescription(await peer.createOffer())
    offer = peer.localDescription.sdp
    location, answer = await asyncio.to_thread(post, f"{url}/v1/realtime/calls", key, offer)
    print(json.dumps({"call": location.rpartition("/")[2]}), flush=True)
    await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    while line := await asyncio.to_thread(sys.stdin.readline):
        channel.send(line.strip())
    await asyncio.to_thread(post, f"{url}{location}/hangup", key)
    await peer.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
