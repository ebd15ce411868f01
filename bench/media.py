"""What the media plane costs by itself: `python -m bench.media [--seconds S] --json`.

One process has the plane, with a thread on a CPU of its own; another one is relay and clients: it sends
SRTP packets that it has encrypted beforehand, 160 bytes of payload, on the link. `echo`: the plane
forwards each stream to itself, so Python sleeps. `python`: every frame goes up by `take` and down again by
`send`. CPU is what the kernel says of the threads, divided by the packets echoed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import select
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

from config.ids import Endpoint
from workers.transceiver.core.srtp import Srtp, SrtpKeys, SrtpProfile
from workers.transceiver.core.streams.interface import (
    AudioParameters,
    Codec,
    FrameReceived,
    LinkLabel,
    SendAudio,
)
from workers.transceiver.media.native import NativePlane
from workers.wire.link import RecordType, encode_record
from workers.wire.rtp import RtpPacket, encode_rtp

AUDIO: Final = AudioParameters("0", (Codec("opus", 111, 48000, 2),), sends=True, receives=True)
PAYLOAD: Final = 160
RATE: Final = 50
PACKED: Final = 7
"""Records of a datagram of a relay that is busy: what an mtu of 1400 holds."""


def keys(session: int) -> SrtpKeys:
    """Of the plane; the client has them the other way round."""
    material = hashlib.shake_128(b"bench %d" % session).digest(56)
    return SrtpKeys(SrtpProfile.AEAD_AES_128_GCM, material[:28], material[28:])


class Usage(NamedTuple):
    """Seconds of CPU of one thread."""

    user: float
    kernel: float

    @classmethod
    def of(cls, tid: int) -> Usage:
        """The sum is exact, the parts are the ticks' share of it."""
        task = Path(f"/proc/self/task/{tid}")
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        user, kernel = int(fields[11]), int(fields[12])
        total = int((task / "schedstat").read_text().split()[0]) / 1e9
        share = user / max(user + kernel, 1)
        return cls(total * share, total * (1 - share))


def waits(tid: int) -> int:
    """How often that thread has waited for something."""
    status = Path(f"/proc/self/task/{tid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("voluntary"))
    return int(line.split()[1])


def load(port: int, sessions: int, seconds: float, *, packed: int) -> None:
    """Be relay and clients: say a line when ready, wait for one, send, say how many."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    print(sock.getsockname()[1], flush=True)
    ticks = int(seconds * RATE)
    clients = []
    for session in range(sessions):
        ours = keys(session)
        clients.append(Srtp(SrtpKeys(ours.profile, ours.remote, ours.local)))
    rounds = []
    for tick in range(ticks):
        records = []
        for session, client in enumerate(clients):
            packet = RtpPacket(111, False, tick, 960 * tick, session + 1, bytes(PAYLOAD))
            protected = client.protect(encode_rtp(packet))
            assert isinstance(protected, bytes)
            records.append(encode_record(RecordType.DATA, 0, session << 8, protected))
        rounds.append([b"".join(records[i : i + packed]) for i in range(0, sessions, packed)])
    print("encrypted", flush=True)
    sys.stdin.readline()
    sock.connect(("127.0.0.1", port))
    begin = time.perf_counter()
    done = 0
    total = sum(map(len, rounds))
    step = seconds / total
    for datagrams in rounds:
        for datagram in datagrams:
            # Evenly, as independent clients are.
            ahead = begin + done * step - time.perf_counter()
            if ahead > 0:
                time.sleep(ahead)
            sock.send(datagram)
            done += 1
        try:
            while True:
                sock.recv(65536)
        except BlockingIOError:
            pass
    print(sessions * ticks, round(time.perf_counter() - begin, 3), flush=True)


def measure(
    sessions: int, seconds: float, cpus: tuple[int, int], *, python: bool, packed: int = 1
) -> dict[str, float]:
    """Microseconds of CPU per echoed packet."""
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    link.bind(("127.0.0.1", 0))
    link.setblocking(False)
    port = link.getsockname()[1]
    arguments = ["--load", f"{port}", f"{sessions}", f"{seconds}", f"{packed}"]
    loader = subprocess.Popen(
        ["taskset", "-c", str(cpus[1]), sys.executable, "-m", "bench.media", *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert loader.stdout is not None
    assert loader.stdin is not None
    relay = Endpoint("127.0.0.1", int(loader.stdout.readline()))
    plane = NativePlane(link, mtu=1400, peers=[relay], max_streams=sessions)
    for session in range(sessions):
        at = LinkLabel(relay, session << 8)
        plane.open(session, keys(session), AUDIO, session + 1, 0)
        plane.bind(at, session)
        plane.set_way(session, at)
        plane.forward(session, None if python else session)
    plane.flush()
    before = {int(task.name) for task in Path("/proc/self/task").iterdir()}
    plane.start(cpus[0])
    (thread,) = {int(task.name) for task in Path("/proc/self/task").iterdir()} - before
    loader.stdout.readline()
    plane.take()
    began = {tid: Usage.of(tid) for tid in (thread, os.getpid())}
    asleep = waits(thread)
    loader.stdin.write("go\n")
    loader.stdin.flush()
    sources = [plane.descriptor, loader.stdout.fileno()]
    echo(plane, sources)
    sent, took = loader.stdout.readline().split()
    loader.wait()
    loader.stdin.close()
    loader.stdout.close()
    ended = {tid: Usage.of(tid) for tid in (thread, os.getpid())}
    asleep = waits(thread) - asleep
    counters = plane.counters
    out = max(counters.records_out, 1)
    plane.end()
    link.close()

    def per_packet(tid: int, part: str) -> float:
        return float(getattr(ended[tid], part) - getattr(began[tid], part)) / out * 1e6

    parts = {
        "thread_user": per_packet(thread, "user"),
        "thread_kernel": per_packet(thread, "kernel"),
        "python_user": per_packet(os.getpid(), "user"),
        "python_kernel": per_packet(os.getpid(), "kernel"),
    }
    return {
        "us": round(sum(parts.values()), 2),
        **{name: round(value, 2) for name, value in parts.items()},
        "packets_per_wait": round(out / max(asleep, 1), 2),
        "lost": int(sent) - counters.records_out,
        "seconds": float(took),
    }


def echo(plane: NativePlane, sources: list[int]) -> None:
    """What Python does until the load is done: sleep, or send back what comes."""
    rest: float | None = None
    while True:
        ready, _, _ = select.select(sources, [], [], rest)
        if plane.descriptor in ready:
            for event in plane.take():
                if type(event) is FrameReceived:
                    stream, audio, _ = event
                    plane.send(
                        stream, SendAudio(audio.payload, audio.timestamp, audio.payload_type)
                    )
            plane.flush()
        elif ready:
            sources, rest = sources[:1], 0.05  # what is under way still comes
        else:
            return


def main() -> None:
    """Run, and print one object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    parser.add_argument("--load", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.load:
        port, sessions, seconds, packed = arguments.load
        load(int(port), int(sessions), float(seconds), packed=int(packed))
        return
    available = sorted(os.sched_getaffinity(0))
    cpus = available[-1], available[0]
    os.sched_setaffinity(0, {cpus[0]})
    seconds = arguments.seconds
    fields = {
        f"{how}_{sessions}": measure(sessions, seconds, cpus, python=how == "python")
        for sessions in (50, 300, 1000)
        for how in ("echo", "python")
    }
    for how in ("echo", "python"):
        # As a relay under load sends them: several records a datagram.
        saturated = measure(1000, seconds / 4, cpus, python=how == "python", packed=PACKED)
        fields[f"{how}_packed"] = saturated
    print(json.dumps(fields, indent=None if arguments.json else 2))


if __name__ == "__main__":
    main()
