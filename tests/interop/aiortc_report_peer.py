"""An aiortc client in a process of its own: talks until both ends have reported, prints what it was told.

python -m tests.interop.aiortc_report_peer URL
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from typing import Any

from aiortc import RTCPeerConnection, RTCSessionDescription

from bench.peers.tone import Tone, request

WITHIN = 60.0
FIELDS = {
    "remote-inbound-rtp": ("packetsLost", "roundTripTime", "fractionLost"),
    "remote-outbound-rtp": ("packetsSent", "bytesSent"),
}


async def told(peer: RTCPeerConnection) -> dict[str, dict[str, Any]]:
    """What the server's reports said, by type of statistics; until all is known."""
    while True:
        await asyncio.sleep(0.2)
        reports = [asdict(report) for report in (await peer.getStats()).values()]
        found = {
            kind: {name: report[name] for name in names}
            for report in reports
            for kind, names in FIELDS.items()
            if report["type"] == kind
        }
        trip = found.get("remote-inbound-rtp", {}).get("roundTripTime")
        if len(found) == len(FIELDS) and trip is not None:
            return found


async def main(url: str) -> dict[str, Any]:
    """Call, talk, hang up."""
    peer = RTCPeerConnection()
    peer.addTrack(Tone())
    await peer.setLocalDescription(await peer.createOffer())
    _, location, answer = await asyncio.to_thread(
        request, "POST", url + "/whip/echo", peer.localDescription.sdp
    )
    await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    found = await asyncio.wait_for(told(peer), WITHIN)
    await asyncio.to_thread(request, "DELETE", url + location)
    await peer.close()
    return {"ours": found["remote-inbound-rtp"], "theirs": found["remote-outbound-rtp"]}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1]))))
