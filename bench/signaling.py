"""How many new sessions a second an appliance answers through HTTP, and what one costs.

    python -m bench.signaling [--quick] [--json]

Several clients, one kept-alive connection each, offer what a browser offers, read the answer and hang
up, as fast as they get answers. All of it runs on the CPUs of this machine, the clients included.
"""

from __future__ import annotations

import argparse
import http.client
import threading
import time
from typing import Any, Final

from bench.appliance import running
from bench.figures import machine, show
from bench.usage import process_cpu

CLIENTS: Final = 4
_FINGERPRINT: Final = ":".join(f"{byte:02X}" for byte in range(32))
OFFER: Final = "\r\n".join(
    (
        "v=0",
        "o=- 4611731400430051336 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "a=extmap-allow-mixed",
        "a=msid-semantic: WMS stream",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126",
        "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0",
        "a=ice-ufrag:tEsT",
        "a=ice-pwd:abcdefghijklmnopqrstuvwx",
        "a=ice-options:trickle",
        f"a=fingerprint:sha-256 {_FINGERPRINT}",
        "a=setup:actpass",
        "a=mid:0",
        "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
        "a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
        "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid",
        "a=sendrecv",
        "a=msid:stream track",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        "a=rtpmap:111 opus/48000/2",
        "a=rtcp-fb:111 transport-cc",
        "a=fmtp:111 minptime=10;useinbandfec=1",
        "a=rtpmap:63 red/48000/2",
        "a=fmtp:63 111/111",
        "a=rtpmap:9 G722/8000",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:13 CN/8000",
        "a=rtpmap:110 telephone-event/48000",
        "a=rtpmap:126 telephone-event/8000",
        "a=ssrc:1001 cname:bench",
        "a=ssrc:1001 msid:stream track",
        "",
    )
)


class Client(threading.Thread):
    """Sets sessions up and down until told to end."""

    def __init__(self, host: str, end: float) -> None:
        super().__init__()
        self._connection = http.client.HTTPConnection(host, timeout=30)
        self._end = end
        self.took: list[float] = []
        self.refused: list[str] = []

    def run(self) -> None:
        """Offer, answer, hang up; `took` is offer to answer."""
        while time.perf_counter() < self._end:
            began = time.perf_counter()
            status, location, body = self._post("/v1/realtime/calls", OFFER)
            if status != 201:
                self.refused.append(body)
                continue
            self.took.append(time.perf_counter() - began)
            self._post(f"{location}/hangup", "")
        self._connection.close()

    def _post(self, path: str, body: str) -> tuple[int, str, str]:
        self._connection.request("POST", path, body, {"Content-Type": "application/sdp"})
        response = self._connection.getresponse()
        return response.status, response.headers.get("Location", ""), response.read().decode()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.signaling", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="3 seconds instead of 15")
    parser.add_argument("--json", action="store_true", help="one flat JSON object")
    options = parser.parse_args()
    seconds = 3.0 if options.quick else 15.0
    with running() as appliance:
        host = appliance.status().page.split("/")[2]
        signaling, transceiver = appliance.worker("signaling"), appliance.worker("transceiver")
        before = process_cpu(signaling.pid), process_cpu(transceiver.pid)
        began = time.perf_counter()
        clients = [Client(host, began + seconds) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        elapsed = time.perf_counter() - began
        after = process_cpu(signaling.pid), process_cpu(transceiver.pid)
    took = sorted(one for client in clients for one in client.took)
    refused = [one for client in clients for one in client.refused]
    if refused:
        raise SystemExit(f"{len(refused)} offers were refused, the first with {refused[0]}")
    result: dict[str, Any] = {
        "sessions": len(took),
        "sessions_per_second": round(len(took) / elapsed, 1),
        "answer_p50_ms": round(took[len(took) // 2] * 1e3, 1),
        "answer_p99_ms": round(took[len(took) * 99 // 100] * 1e3, 1),
        "signaling_us_per_session": round((after[0] - before[0]) / len(took) * 1e6),
        "transceiver_us_per_session": round((after[1] - before[1]) / len(took) * 1e6),
        **machine(),
    }
    show(result, as_json=options.json)


if __name__ == "__main__":
    main()
