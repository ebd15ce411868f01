"""A client on GStreamer's webrtcbin, in the system's own interpreter, where its bindings are.

    /usr/bin/python3 tests/interop/gstreamer_peer.py URL SECONDS

Sends a tone and a message to a WHIP end point; prints what came back as one JSON object.
"""

import json
import math
import sys
import urllib.parse
import urllib.request
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

SEND = (
    "audiotestsrc is-live=true freq=440 volume=0.5 ! audio/x-raw,rate=48000,channels=2"
    " ! opusenc ! rtpopuspay pt=96"
    " ! application/x-rtp,media=audio,encoding-name=OPUS,payload=96,clock-rate=48000 ! w.sink_0"
)
HEAR = "queue ! rtpopusdepay ! opusdec ! audioconvert ! level interval=100000000 ! fakesink"


def request(method: str, url: str, body: str = "") -> tuple[int, str, str]:
    call = urllib.request.Request(
        url, body.encode() or None, {"Content-Type": "application/sdp"}, method=method
    )
    with urllib.request.urlopen(call, timeout=20) as response:
        return response.status, response.headers["Location"], response.read().decode()


def describe(kind: str, text: str) -> Any:
    _, message = GstSdp.SDPMessage.new_from_text(text)
    return GstWebRTC.WebRTCSessionDescription.new(getattr(GstWebRTC.WebRTCSDPType, kind), message)


class Client:
    def __init__(self, url: str, seconds: int) -> None:
        self.url, self.seconds = url, seconds
        self.loop = GLib.MainLoop()
        self.found: dict[str, Any] = {"status": 0, "ended": 0, "echo": "", "loud": 0, "packets": 0}
        self.location = ""
        self.pipeline = Gst.parse_launch("webrtcbin name=w bundle-policy=max-bundle " + SEND)
        self.element = self.pipeline.get_by_name("w")
        self.pipeline.get_bus().add_signal_watch()
        self.pipeline.get_bus().connect("message", self.heard)
        self.element.connect("pad-added", self.add)
        self.pipeline.set_state(Gst.State.READY)
        self.channel = self.element.emit("create-data-channel", "chat", None)
        self.channel.connect("on-open", lambda channel: channel.emit("send-string", "hello"))
        self.channel.connect("on-message-string", self.echoed)
        self.element.connect("on-negotiation-needed", self.offer)
        self.element.connect("notify::ice-gathering-state", self.gathered)

    def run(self) -> None:
        self.pipeline.set_state(Gst.State.PLAYING)
        GLib.timeout_add_seconds(self.seconds, self.loop.quit)
        self.loop.run()
        if self.location:
            self.found["ended"] = request("DELETE", self.location)[0]
        self.pipeline.set_state(Gst.State.NULL)
        print(json.dumps(self.found))

    def offer(self, _: Any) -> None:
        promise = Gst.Promise.new_with_change_func(self.offered, None)
        self.element.emit("create-offer", None, promise)

    def offered(self, promise: Any, _: Any) -> None:
        reply = promise.get_reply()
        # What the binding gives goes with the reply: a copy, by its text.
        text = reply.get_value("offer").sdp.as_text()
        self.element.emit("set-local-description", describe("OFFER", text), Gst.Promise.new())

    def gathered(self, *_: Any) -> None:
        state = self.element.get_property("ice-gathering-state")
        if state == GstWebRTC.WebRTCICEGatheringState.COMPLETE and not self.found["status"]:
            GLib.idle_add(self.call)

    def call(self) -> None:
        offer = self.element.get_property("local-description").sdp.as_text()
        self.found["status"], location, answer = request("POST", self.url, offer)
        self.location = urllib.parse.urljoin(self.url, location)
        self.element.emit("set-remote-description", describe("ANSWER", answer), Gst.Promise.new())

    def add(self, _: Any, pad: Any) -> None:
        if pad.direction != Gst.PadDirection.SRC:
            return
        pad.add_probe(Gst.PadProbeType.BUFFER, self.count)
        ear = Gst.parse_bin_from_description(HEAR, True)
        self.pipeline.add(ear)
        ear.sync_state_with_parent()
        pad.link(ear.get_static_pad("sink"))

    def count(self, *_: Any) -> Any:
        self.found["packets"] += 1
        return Gst.PadProbeReturn.OK

    def echoed(self, _: Any, text: str) -> None:
        self.found["echo"] = text

    def heard(self, _: Any, message: Any) -> None:
        structure = message.get_structure()
        if message.type == Gst.MessageType.ERROR:
            sys.stderr.write(str(message.parse_error()))
            self.loop.quit()
        elif structure and structure.get_name() == "level":
            loudness = structure.get_value("rms")[0]  # dB
            self.found["loud"] += not math.isinf(loudness) and loudness > -20


Gst.init(None)
Client(sys.argv[1], int(sys.argv[2])).run()
