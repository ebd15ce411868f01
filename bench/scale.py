"""How far one relay worker goes: `python -m bench.scale [--quick] [--json]`.

    flows_1m_mb              resident memory of a process with a relay core and a million flows
    lookup_1k_ns, _64k_, _1m_
                             to find a datagram's flow among so many, in batches as the pump does it
    lookup_ratio             the last of them to the first
    datagram_1k_us, _1m_us   to forward a datagram of one of so many flows, at random, from socket to link
    new_flows_per_second     first checks that a worker can take on one CPU: datagram in, introduction out,
                             the transceiver's word in, flow installed, answer out; sends included
    sweep_max_ms             longest tick of the sweep over a million flows: while all live, and while all
                             fall silent at once
    route_removal_max_ms     longest round while half a million flows of one transceiver are taken out
    live_flows_per_worker    flows whose checks, one every 2.5 s each, fill one CPU; their media come on top

Times are CPU time of the thread that does the work, so that what else runs on the machine counts little.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from ipaddress import IPv4Address
from typing import Final

from bench.figures import show
from bench.native import program
from bench.relay_clients import MEDIA
from bench.relay_peers import stun
from bench.usage import resident
from config.ids import ClusterId, Endpoint, Epoch, FlowKey, Route, TransceiverId, Transport
from workers.native import load
from workers.relay.core.interface import InstallFlow, RemoveRoute, RouteAdded
from workers.relay.core.relay import Relay
from workers.relay.datapath.native import NativeDatapath
from workers.relay.shell import RelayShell
from workers.wire.link import FLAG_ASSURED, RecordType, encode_record, parse_records
from workers.wire.ufrag import UfragKeys

MILLION: Final = 1_000_000
CLIENTS: Final = 400
"""Sockets that check in a round; the default limit of open files allows no more by much."""
CHECK_EVERY: Final = 2.5
KEYS: Final = UfragKeys({"0": bytes(range(16))}, "0")
TABLES: Final = (1_000, 65_536, MILLION)
_FIRST_CLIENT: Final = int(IPv4Address("127.1.0.1"))
_DATAGRAMS: Final = 2_048
_IP_PKTINFO: Final = 8
ROUTE: Final = Route(ClusterId(0), TransceiverId(1), Epoch(1))
ANSWER: Final = b"\x01\x01\x00\x00\x21\x12\xa4\x42transaction!" + bytes(44)


def _udp(stack: ExitStack, host: str = "127.0.0.1") -> tuple[Endpoint, socket.socket]:
    sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.bind((host, 0))
    return Endpoint(*sock.getsockname()), sock


def check_of(session: int) -> bytes:
    """A session's first Binding request, as far as a relay reads it."""
    username = f"{KEYS.mint(ROUTE, session.to_bytes(6, 'big'))}:theirs".encode()
    return stun(0x0001, (0x0006, username), (0x0008, bytes(20)), (0x8028, bytes(4)))


class Worker:
    """Core, datapath and shell of a relay on loopback, without its thread: each step is ours to time."""

    def __init__(self, stack: ExitStack, max_flows: int) -> None:
        self.public, self.link, self.far = _udp(stack), _udp(stack), _udp(stack)
        table = os.memfd_create("flows")
        stack.callback(os.close, table)
        self.datapath = NativeDatapath(
            [self.public], self.link[1], mtu=65_000, idle=60, max_flows=max_flows, table=table
        )
        stack.callback(self.datapath.close)
        self.core = Relay(
            KEYS,
            os.urandom,
            max_flows=max_flows,
            max_pending=4096,
            memory=self.datapath.memory,
        )
        self.now = 1000.0
        self.shell = RelayShell(self.core, self.datapath, lambda: self.now)
        self.core.handle(RouteAdded(ROUTE, self.far[0]), self.now)

    def settle(self) -> None:
        """Handle all that has come up."""
        while self.datapath.waiting:
            self.shell.handle_waiting()

    def from_clients(self, count: int) -> float:
        """CPU seconds to take in so many datagrams that are on their way to the public socket."""
        datapath = self.datapath
        wanted = datapath.counters.received + count

        def pump() -> None:
            while datapath.pump_public(0, 1 << 20, self.now):
                self.settle()

        return _until(lambda: datapath.counters.received >= wanted, pump)

    def from_transceiver(self, count: int) -> float:
        """CPU seconds to take in so many records that are on their way to the link socket."""
        datapath = self.datapath
        wanted = datapath.counters.records + count

        def pump() -> None:
            while datapath.pump_link(1 << 20):
                self.settle()

        return _until(lambda: datapath.counters.records >= wanted, pump)

    def introductions(self, count: int) -> list[int]:
        """Labels of the next so many that the transceiver hears of."""
        labels: list[int] = []

        def hear() -> None:
            with suppress(BlockingIOError):
                while True:
                    records = parse_records(self.far[1].recv(1 << 16))
                    labels.extend(record.label for record in records)

        _until(lambda: len(labels) >= count, hear)
        return labels


def _took(work: Callable[[], object]) -> float:
    before = time.thread_time()
    work()
    return time.thread_time() - before


def _until(done: Callable[[], bool], work: Callable[[], object]) -> float:
    """CPU seconds of it, repeated until it is done: a busy kernel delivers late."""
    deadline, took = time.monotonic() + 5.0, _took(work)
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit("datagrams were lost on the way")
        time.sleep(0.001)
        took += _took(work)
    return took


def first_checks(rounds: int) -> tuple[float, float]:
    """CPU seconds of a new flow, and of a further check of an installed one."""
    with ExitStack() as everything:
        worker = Worker(everything, 65_536)
        first: list[float] = []
        again: list[float] = []
        for n in range(rounds):
            with ExitStack() as stack:
                clients = [_udp(stack)[1] for _ in range(CLIENTS)]
                checks = [check_of(n * CLIENTS + client) for client in range(CLIENTS)]
                for repeat in range(3):
                    for client, check in zip(clients, checks, strict=True):
                        client.sendto(check, worker.public[0])
                    took = worker.from_clients(CLIENTS)
                    for label in worker.introductions(CLIENTS):
                        answer = encode_record(RecordType.DATA, FLAG_ASSURED, label, ANSWER)
                        worker.far[1].sendto(answer, worker.link[0])
                    took += worker.from_transceiver(CLIENTS)
                    (again if repeat else first).append(took / CLIENTS)
            worker.now += 2.0
        return min(first), min(again)


def client(number: int, port: int) -> Endpoint:
    """Where one of up to 16 million clients sends from: all of them reach this host."""
    return Endpoint(str(IPv4Address(_FIRST_CLIENT + number)), port)


def _fill(worker: Worker, count: int, port: int) -> None:
    """So many flows, each through the core's table and the command ring."""
    datapath, memory = worker.datapath, worker.datapath.memory
    if memory is None:
        raise SystemExit("no kept memory")
    memory.used[0] = count
    local, far = worker.public[0], worker.far[0]
    for n in range(count):
        key = FlowKey(Transport.UDP, client(n, port), local)
        datapath.install(InstallFlow(key, n << 8 | memory.generations[n], ROUTE, far), worker.now)
    if datapath.flows != count:
        raise SystemExit(f"only {datapath.flows} flows")


def _forwarding(worker: Worker, clients: socket.socket, count: int) -> float:
    """CPU microseconds for a datagram of one of so many flows, each batch of other clients."""
    for _ in range(_DATAGRAMS):
        source = (_FIRST_CLIENT + random.randrange(count)).to_bytes(4, "big")
        ancillary = [(socket.IPPROTO_IP, _IP_PKTINFO, bytes(4) + source + bytes(4))]
        clients.sendmsg([MEDIA], ancillary, 0, worker.public[0])
    took = worker.from_clients(_DATAGRAMS)
    with suppress(BlockingIOError):
        while worker.far[1].recv(1):
            pass
    return took / _DATAGRAMS * 1e6


def million(rounds: int) -> dict[str, float]:
    """What a million flows cost; to be run in a process of its own."""
    with ExitStack() as stack:
        sender, clients = _udp(stack, "0.0.0.0")
        worker = Worker(stack, MILLION)
        _fill(worker, MILLION, sender.port)
        megabytes = resident(os.getpid()) / 1e6
        few = Worker(stack, 1000)
        _fill(few, 1000, sender.port)
        costs = [
            (_forwarding(few, clients, 1000), _forwarding(worker, clients, MILLION))
            for _ in range(rounds)
        ]
        longest = 0.0

        def tick(seconds: float) -> None:
            nonlocal longest
            worker.now += seconds
            longest = max(longest, _took(lambda: worker.datapath.sweep(worker.now)))

        def forget() -> None:
            while worker.datapath.next_event() is not None:
                pass

        for _ in range(300):  # once round while all live
            tick(0.025)
        worker.now += 60.0
        while worker.datapath.flows > MILLION // 2:
            tick(0.025)
            forget()
        if worker.datapath.counters.forwarded != rounds * _DATAGRAMS:
            raise SystemExit(f"not all were forwarded: {worker.datapath.counters}")
        sweep, longest = longest, 0.0
        longest = _took(lambda: worker.datapath.remove_route(RemoveRoute(ROUTE), worker.now))
        while worker.datapath.flows:
            tick(0.0)
            forget()
        return {
            "flows_1m_mb": round(megabytes, 1),
            "datagram_1k_us": round(statistics.median(each for each, _ in costs), 2),
            "datagram_1m_us": round(statistics.median(each for _, each in costs), 2),
            "sweep_max_ms": round(sweep * 1e3, 3),
            "route_removal_max_ms": round(longest * 1e3, 3),
        }


def lookups(found: Sequence[Mapping[int, float]]) -> dict[str, float]:
    """Figures of some rounds, each of which says for some numbers of flows what a look-up took.

    Of each its best round: the last cache is shared, and whoever else uses it only adds.
    """
    few, some, many = (min(each[n] for each in found) for n in TABLES)
    return {
        "lookup_1k_ns": few,
        "lookup_64k_ns": some,
        "lookup_1m_ns": many,
        "lookup_ratio": round(many / few, 2),
    }


def rates(first: float, check: float) -> dict[str, float]:
    """Figures from the CPU seconds that a new flow and a check of an old one take."""
    return {
        "new_flows_per_second": round(1 / first),
        "live_flows_per_worker": round(CHECK_EVERY / check),
    }


def _lookup(flows: int) -> float:
    command = [program("lookup"), str(flows)]
    return float(subprocess.run(command, capture_output=True, check=True).stdout)


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, under 50 s")
    parser.add_argument("--json", action="store_true", help="one flat JSON object")
    parser.add_argument("--million", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    load()  # says why if there is no native datapath
    rounds = 5 if arguments.quick else 40
    if arguments.million:
        print(json.dumps(million(rounds)))
        return
    again = [sys.executable, "-m", "bench.scale", "--million", *(["--quick"] * arguments.quick)]
    figures = json.loads(subprocess.run(again, stdout=subprocess.PIPE, check=True).stdout)
    figures |= lookups([{n: _lookup(n) for n in TABLES} for _ in range(rounds)])
    figures |= rates(*first_checks(rounds))
    show(figures, as_json=arguments.json)


if __name__ == "__main__":
    main()
