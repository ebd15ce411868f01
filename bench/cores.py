"""What sessions cost beside their packets, without sockets: `python -m bench.cores [--json]`.

Real clients connect to a transceiver's cores in memory and are thrown away, so that what has grown is the
sessions' own:

* `kb_per_session`, `kb_per_session_data`: private memory of a connected session with audio, and of one
  with audio and an open data channel that has carried a message each way;
* `frame_us`: CPU of a frame's way up through sessions to a back end in Python, and of its answer down
  again, to where the media plane takes over (`python -m bench.media` has the plane's part);
* `backend_frame_us`: the same to a back end elsewhere and back, for each of the two frames: order, batch,
  its encoding and decoding, playout; without sockets and wake-ups (`python -m bench.backend` has them).
"""

from __future__ import annotations

import argparse
import gc
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from bench.figures import show
from config.ids import ClusterId, Endpoint, Epoch, FlowKey, Instant, Route, TransceiverId, Transport
from ipc.backend.codec import decode_to_backend, encode_batch
from ipc.backend.messages import (
    Accept,
    AudioIn,
    AudioOut,
    Credit,
    FromBackend,
    Hello,
    SessionStarted,
)
from workers.transceiver.audio.voice import Voice
from workers.transceiver.backends.base import Backend
from workers.transceiver.backends.exchange import Exchange
from workers.transceiver.backends.remote import Remote
from workers.transceiver.core import interface as core
from workers.transceiver.core.admission import Settings
from workers.transceiver.core.dtls import DtlsIdentity
from workers.transceiver.core.offer import OPUS, build_offer, parse_answer
from workers.transceiver.core.sctp.interface import (
    ChannelOpened,
    MessageReceived,
    OpenChannel,
    SendMessage,
)
from workers.transceiver.core.session import Session
from workers.transceiver.core.sessions import Sessions
from workers.transceiver.core.standalone import Standalone
from workers.transceiver.core.states import SessionState
from workers.transceiver.core.streams import interface as streams
from workers.transceiver.media import commands
from workers.transceiver.media.base import PlaneCounters
from workers.transceiver.media.python import PythonPlane
from workers.wire.link import RecordType, encode_intro
from workers.wire.ufrag import UfragKeys

SESSIONS: Final = 300
WARM: Final = 20
FRAMES: Final = 100_000
SETTLED: Final = 1.0
"""Seconds of its own time that a client stays once it is connected."""
PUBLIC: Final = Endpoint("192.0.2.1", 3478)
RELAY: Final = Endpoint("127.0.0.1", 4000)
STEP: Final = 0.01
REMOTE: Final = "elsewhere"
AT: Final = "ipc:///nowhere"
"""Its end point."""


class SayBack(Backend):
    """Each frame, each message comes back, through Python."""

    def handle(self, event: core.FromSession, now: Instant) -> list[core.ForSession]:
        """As an echo without help of the plane."""
        match event.output:
            case core.AudioReceived(payload, payload_type, _, timestamp, marker):
                frame = core.SendAudio(payload, timestamp, payload_type, marker)
                return [core.ForSession(event.session, frame)]
            case MessageReceived(channel, payload):
                return [core.ForSession(event.session, SendMessage(channel, payload))]
            case _:
                return []


class Wire:
    """The link, in memory."""

    def __init__(self) -> None:
        self.counters = PlaneCounters()
        self.inbox: list[core.RecordReceived] = []
        self.outbox: list[core.SendRecord] = []

    def fileno(self) -> int:
        """There is nothing to wait for."""
        raise OSError("this link is no descriptor")

    def hear(self, peers: Iterable[Endpoint]) -> None:
        """There is but one relay."""

    def receive(self) -> Iterator[core.RecordReceived]:
        """What was put in."""
        records, self.inbox = self.inbox, []
        return iter(records)

    def queue(self, record: core.SendRecord) -> None:
        """Keep it for the client."""
        self.outbox.append(record)

    def flush(self) -> None:
        """Nothing waits."""


class Fleet:
    """A transceiver without sockets, and clients that come and are gone."""

    def __init__(self) -> None:
        self.now: Instant = 1000.0
        self._identity = DtlsIdentity(os.urandom)
        self._wire = Wire()
        self._plane = PythonPlane(self._wire, lambda: self.now)
        settings = Settings(
            route=Route(ClusterId(0), TransceiverId(0), Epoch(0)),
            keys=UfragKeys({"a": bytes(16)}, "a"),
            fingerprint=self._identity.fingerprint,
            advertise=(PUBLIC,),
            backends=frozenset({"say back", REMOTE}),
            max_sessions=10_000,
            consent_timeout=1e9,
        )
        sessions = Sessions(settings, self._session, os.urandom, self._plane.stats)
        self.remote = Remote(
            REMOTE, Hello("bench"), [AT], buffer=60.0, entropy=os.urandom, make_voice=Voice
        )
        self.exchange = Exchange(sessions, {"say back": SayBack(), REMOTE: self.remote})
        self.clients = 0

    def connect(self, count: int, *, data: bool, backend: str = "say back") -> None:
        """So many clients, one after the other; of each the session stays."""
        for _ in range(count):
            self._visit(backend, data=data)

    def _session(self, parameters: core.SessionParameters, now: Instant) -> Session:
        return Session(parameters, self._identity, os.urandom, now)

    def hear(self, items: list[FromBackend]) -> list[core.SessionsOutput]:
        """A batch of the back end elsewhere."""
        wanted = self.remote.receive(AT, encode_batch(items), self.now)
        outputs = self.exchange.prompt(wanted, self.remote.touched, self.now)
        self.remote.touched.clear()
        return outputs

    def _visit(self, backend: str, *, data: bool) -> None:
        self.clients += 1
        local = core.IceCredentials(os.urandom(4).hex(), os.urandom(16).hex())
        offer = build_offer(local, self._identity.fingerprint, origin=1, data=data)
        outputs = self.exchange.handle(core.Create(0, offer, backend), self.now)
        (answer,) = (o.answer for o in outputs if isinstance(o, core.Created))
        remote = parse_answer(answer)
        home = Endpoint(f"10.0.{self.clients >> 8}.{self.clients & 255}", 5000)
        path = core.Path(Transport.UDP, PUBLIC, home)
        parameters = core.SessionParameters(
            ice_role=core.IceRole.CONTROLLING,
            dtls_role=remote.dtls_role,
            local=local,
            remote=remote.remote,
            remote_fingerprints=remote.fingerprints,
            audio=remote.audio,
            data=remote.data,
            remote_endpoints=(path,),
        )
        client = Standalone(self._session(parameters, self.now))
        until = self._talk(client, path, lambda: client.state is SessionState.CONNECTED, 30.0)
        self._send(
            client, path, client.handle(core.SendAudio(b"frame", 0, OPUS.payload_type), self.now)
        )
        if data:
            self._send(client, path, client.handle(OpenChannel("bench"), self.now))
        self._talk(client, path, lambda: self.now > until + SETTLED, 2 * SETTLED)

    def _talk(
        self, client: Standalone, path: core.Path, over: Callable[[], bool], within: float
    ) -> Instant:
        """Let both talk until that holds; when it did."""
        deadline = self.now + within
        while not over():
            if self.now > deadline:
                raise SystemExit("a client did not connect")
            self._serve()
            records, self._wire.outbox = self._wire.outbox, []
            for record in records:
                if record.payload:
                    received = core.DatagramReceived(path, record.payload)
                    self._send(client, path, client.handle(received, self.now))
            if not self._wire.inbox:
                self.now += STEP
            due = client.next_timeout()
            if due is not None and due <= self.now:
                self._send(client, path, client.handle_timeout(self.now))
        return self.now

    def _send(
        self, client: Standalone, path: core.Path, outputs: Iterable[core.StandaloneOutput]
    ) -> None:
        """What a relay does with a client's datagrams, and the client with its channel."""
        label = self.clients << 8
        for output in outputs:
            if isinstance(output, core.SendDatagram):
                type_, payload = RecordType.DATA, output.datagram
                if payload[0] < 4:
                    key = FlowKey(Transport.UDP, path.local, path.remote)
                    type_, payload = RecordType.INTRO, encode_intro(key, payload)
                self._wire.inbox.append(core.RecordReceived(RELAY, type_, 0, label, payload))
            elif isinstance(output, ChannelOpened):
                hello = SendMessage(output.channel, b"hello")
                self._send(client, path, client.handle(hello, self.now))

    def _serve(self) -> None:
        """A turn of the shell."""
        for event in self._plane.take():
            self._carry_out(self.exchange.handle(event, self.now))
        due = self.exchange.next_timeout()
        if due is not None and due <= self.now:
            self._carry_out(self.exchange.handle_timeout(self.now))

    def _carry_out(self, outputs: Iterable[core.SessionsOutput]) -> None:
        for output in outputs:
            if isinstance(output, core.SendRecord):
                self._plane.send_record(output)
            elif isinstance(output, streams.StreamCommand):
                commands.carry_out(self._plane, output)


def private_kilobytes() -> int:
    """Of this process, shared with no other."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8").splitlines()
    wanted = ("Private_Clean:", "Private_Dirty:")
    return sum(int(line.split()[1]) for line in lines if line.startswith(wanted))


def memory(fleet: Fleet, *, data: bool) -> float:
    """Kilobytes per session."""
    fleet.connect(WARM, data=data)
    gc.collect()
    before = private_kilobytes()
    fleet.connect(SESSIONS, data=data)
    gc.collect()
    return round((private_kilobytes() - before) / SESSIONS, 1)


def frames(fleet: Fleet) -> float:
    """Microseconds of CPU per frame, up and down."""
    audio = core.AudioReceived(bytes(80), OPUS.payload_type, 1, 960, False, 5)
    events = [streams.FrameReceived(n % WARM, audio, fleet.now) for n in range(1000)]
    answers = 0
    began = time.process_time()
    for _ in range(FRAMES // len(events)):
        for event in events:
            for output in fleet.exchange.handle(event, fleet.now):
                answers += type(output) is streams.SendFrame
    took = time.process_time() - began
    if answers != FRAMES:
        raise SystemExit(f"{answers} answers to {FRAMES} frames")
    return round(took / FRAMES * 1e6, 2)


def backend_frames(fleet: Fleet) -> float:
    """Microseconds of CPU per frame, heard or said, of sessions that a back end elsewhere echoes."""
    fleet.hear([Hello("bench")])
    first = fleet.clients
    fleet.connect(WARM, data=False, backend=REMOTE)
    started = [item for item in fleet.remote.outbox.pop(AT) if isinstance(item, SessionStarted)]
    fleet.hear([Accept(item.session) for item in started])
    took, answers, turns = 0.0, 0, FRAMES // WARM // 5
    for turn in range(turns):
        audio = core.AudioReceived(
            bytes(80), OPUS.payload_type, turn & 0xFFFF, 960 * turn, False, 5
        )
        events = [streams.FrameReceived(first + n, audio, fleet.now) for n in range(WARM)]
        began = time.process_time()
        for event in events:
            fleet.exchange.handle(event, fleet.now)
        data = encode_batch(fleet.remote.outbox.pop(AT, []))
        took += time.process_time() - began
        heard = [item for item in decode_to_backend(data) if isinstance(item, AudioIn)]
        answer: list[FromBackend] = [Credit(WARM)]
        answer += [AudioOut(item.session, item.payload, "echo") for item in heard]
        batch = encode_batch(answer)
        began = time.process_time()
        wanted = fleet.remote.receive(AT, batch, fleet.now)
        outputs = fleet.exchange.prompt(wanted, fleet.remote.touched, fleet.now)
        fleet.remote.touched.clear()
        outputs += fleet.exchange.handle_timeout(fleet.now + 0.002)
        answers += sum(type(output) is streams.SendFrame for output in outputs)
        took += time.process_time() - began
        fleet.now += 0.0200001  # a hair more, so that what is due is due
    if answers < turns * WARM * 0.99:
        raise SystemExit(f"{answers} answers to {turns * WARM} frames")
    return round(took / (turns * WARM * 2) * 1e6, 2)


def main() -> None:
    """Run, and print one flat object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    arguments = parser.parse_args()
    fleet = Fleet()
    fields = {
        "kb_per_session": memory(fleet, data=False),
        "kb_per_session_data": memory(fleet, data=True),
        "frame_us": frames(fleet),
        "backend_frame_us": backend_frames(fleet),
    }
    show(fields, as_json=arguments.json)


if __name__ == "__main__":
    main()
