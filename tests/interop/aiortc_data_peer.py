"""An aiortc client in a process of its own: sends messages on a data channel, prints what came back.

python -m tests.interop.aiortc_data_peer URL PATH
"""

from __future__ import annotations

import asyncio
import json
import sys

from aiortc import RTCDataChannel, RTCPeerConnection, RTCSessionDescription

from bench.peers.tone import Tone, request

MESSAGES: list[str | bytes] = ["", "héllo", b"", b"\x00\xff", "x" * 3000, bytes(range(256)) * 250]


async def main(url: str, path: str) -> dict[str, object]:
    """Call, send, wait for the echo, close the channel, hang up."""
    peer = RTCPeerConnection()
    peer.addTrack(Tone())
    channel: RTCDataChannel = peer.createDataChannel("chat", protocol="v1")
    heard: list[str | bytes] = []
    done, closed = asyncio.Event(), asyncio.Event()

    def opened() -> None:
        for message in MESSAGES:
            channel.send(message)

    def on_message(message: str | bytes) -> None:
        heard.append(message)
        if len(heard) == len(MESSAGES):
            done.set()

    channel.on("open", opened)
    channel.on("message", on_message)
    channel.on("close", closed.set)
    await peer.setLocalDescription(await peer.createOffer())
    _, location, answer = await asyncio.to_thread(
        request, "POST", url + path, peer.localDescription.sdp
    )
    await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    await asyncio.wait_for(done.wait(), 30)
    channel.close()
    await asyncio.wait_for(closed.wait(), 10)
    await asyncio.to_thread(request, "DELETE", url + location)
    await peer.close()
    return {"same": heard == MESSAGES, "state": channel.readyState}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], sys.argv[2]))))
