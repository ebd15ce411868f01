"""The proxy of the set-up bench: everything arrives, in order, late by what was asked, for each client."""

from __future__ import annotations

import socket
import threading
import time

from bench.delay import delayed

ONE_WAY = 0.03


def udp() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.settimeout(5)
    return sock


def echo(server: socket.socket, count: int, sources: set[tuple[str, int]]) -> None:
    for _ in range(count):
        datagram, source = server.recvfrom(2048)
        sources.add(source)
        server.sendto(datagram, source)


def test_a_round_trip_takes_twice_the_delay_and_clients_stay_apart() -> None:
    sources: set[tuple[str, int]] = set()
    with udp() as server, udp() as one, udp() as other:
        answering = threading.Thread(target=echo, args=(server, 6, sources))
        answering.start()
        with delayed(server.getsockname(), ONE_WAY, "127.0.0.1") as proxy:
            began = time.monotonic()
            for number in range(3):
                one.sendto(b"one %d" % number, proxy.address)
                other.sendto(b"other %d" % number, proxy.address)
            assert [one.recv(2048) for _ in range(3)] == [b"one 0", b"one 1", b"one 2"]
            assert time.monotonic() - began >= 2 * ONE_WAY
            assert [other.recv(2048) for _ in range(3)] == [b"other 0", b"other 1", b"other 2"]
        answering.join()
    assert len(sources) == 2


def test_a_fate_sees_both_directions_and_may_lose() -> None:
    seen: list[tuple[bool, bytes]] = []

    def fate(to_server: bool, datagram: bytes) -> bool:
        seen.append((to_server, datagram))
        return datagram != b"lost"

    with udp() as server, udp() as client:
        answering = threading.Thread(target=echo, args=(server, 1, set()))
        answering.start()
        with delayed(server.getsockname(), 0.0, "127.0.0.1", fate) as proxy:
            client.sendto(b"lost", proxy.address)
            client.sendto(b"found", proxy.address)
            assert client.recv(2048) == b"found"
        answering.join()
    assert seen == [(True, b"lost"), (True, b"found"), (False, b"found")]
