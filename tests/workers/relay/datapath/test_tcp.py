"""ICE-TCP on real loopback connections: frames in any pieces, clients that mean no good.

Loopback TCP is synchronous as UDP is: what `send` returned from is in the receiver's queue.
"""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from appliance.supervisor.binding import TCP_UNSENT
from tests.support.tcp_bench import IDLE, LABEL, SRTP, STUN, Bench
from workers.relay.core.connections import (
    READS_WITHIN,
    STRANGERS_PER_SOURCE,
    VOUCHED_WITHIN,
    Ending,
)
from workers.relay.core.interface import (
    FlowExpired,
    RemoveFlow,
    SendDatagram,
    Upcall,
)
from workers.relay.datapath.base import FLOW_UPCALLS
from workers.relay.datapath.tcp_port import FAREWELL
from workers.wire.framing import encode_frame
from workers.wire.link import MAX_PAYLOAD, make_label
from workers.wire.types import DropReason


@pytest.fixture
def bench() -> Iterator[Bench]:
    with ExitStack() as stack:
        made = Bench(stack)
        yield made
        made.pump()
        made.check_laws()


@pytest.mark.parametrize("ipv6", [False, True])
def test_a_check_goes_up_and_media_go_both_ways(bench: Bench, ipv6: bool) -> None:
    client = bench.client(ipv6=ipv6)
    client.send(STUN)
    assert bench.events() == [Upcall(client.key, STUN, None)]
    bench.path.outbox.send_datagram(SendDatagram(client.key, b"answer"))
    assert client.take() == [b"answer"]
    bench.settle(client)
    client.send(SRTP, STUN, SRTP + b"2")
    assert bench.records() == [SRTP, SRTP + b"2"]
    (event,) = bench.events()
    assert isinstance(event, Upcall)
    assert event.flow is not None
    bench.say(LABEL, b"one", b"two")
    assert client.take() == [b"one", b"two"]
    assert bench.path.counters.returned == 2


def test_frames_come_in_any_pieces(bench: Bench) -> None:
    client = bench.client()
    stream = b"".join(map(encode_frame, (STUN, b"", STUN + bytes(MAX_PAYLOAD - len(STUN)))))
    for at in range(len(stream)):
        client.socket.sendall(stream[at : at + 1])
        bench.pump()
    found = [event.datagram for event in bench.events() if isinstance(event, Upcall)]
    assert [len(datagram) for datagram in found] == [len(STUN), MAX_PAYLOAD]
    assert bench.path.counters.dropped == {DropReason.EMPTY: 1}
    assert bench.ended == {}


def test_many_frames_in_one_piece_all_count(bench: Bench) -> None:
    client = bench.client()
    client.send(*[b""] * 40_000)
    bench.pump()
    assert bench.path.counters.dropped == {DropReason.EMPTY: 40_000}


def test_a_frame_too_long_ends_its_connection_and_no_other(bench: Bench) -> None:
    good, bad = bench.client(), bench.client()
    bench.settle(good, LABEL)
    bench.settle(bad, make_label(2, 1))
    bad.socket.sendall((MAX_PAYLOAD + 1).to_bytes(2, "big"))
    bench.pump()
    assert bench.ended == {Ending.OVERSIZE: 1}
    assert bad.is_closed()
    assert FlowExpired(make_label(2, 1)) in bench.events()
    good.send(SRTP)
    assert bench.records() == [SRTP]


def test_a_flow_ends_with_its_connection(bench: Bench) -> None:
    client = bench.client()
    bench.settle(client)
    client.socket.close()
    bench.pump()
    assert bench.events() == [FlowExpired(LABEL)]
    assert (bench.path.flows, bench.path.connections) == (0, 0)
    assert bench.ended == {Ending.LEFT: 1}
    bench.say(LABEL, b"too late")
    bench.path.outbox.send_datagram(SendDatagram(client.key, b"too late"))
    assert bench.path.outbox.unsent == {DropReason.SEND_REFUSED: 1}


def test_a_client_that_left_before_its_flow_came_leaves_nothing(bench: Bench) -> None:
    client = bench.client()
    client.socket.close()
    bench.settle(client)
    assert bench.events() == [FlowExpired(LABEL)]
    assert bench.path.flows == 0


def test_a_reset_is_a_client_that_left(bench: Bench) -> None:
    client = bench.client()
    bench.settle(client)
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.socket.close()
    bench.pump()
    assert bench.ended == {Ending.LEFT: 1}


def test_a_connection_ends_with_its_flow_after_the_last_word(bench: Bench) -> None:
    client = bench.client()
    bench.settle(client)
    bench.say(LABEL, b"close_notify")
    bench.path.remove(RemoveFlow(LABEL), bench.now)
    client.send(SRTP)  # it does not know yet
    bench.pump()
    assert client.take() == [b"close_notify"]
    assert client.is_closed()
    client.socket.close()
    bench.pump()
    assert bench.ended == {Ending.FLOW_OVER: 1}
    assert bench.events() == [FlowExpired(LABEL)]


def test_a_client_that_does_not_hang_up_is_cut(bench: Bench) -> None:
    client = bench.client()
    bench.settle(client)
    bench.path.remove(RemoveFlow(LABEL), bench.now)
    bench.later(FAREWELL / 2)
    assert bench.path.connections == 1
    bench.later(FAREWELL)
    assert bench.path.connections == 0


def test_silence_ends_flow_and_connection(bench: Bench) -> None:
    client = bench.client()
    bench.settle(client)
    bench.later(IDLE + 1)
    bench.later(FAREWELL)
    assert bench.ended == {Ending.FLOW_OVER: 1}
    assert client.is_closed()


def test_a_second_session_on_a_connection_keeps_it(bench: Bench) -> None:
    client = bench.client()
    bench.settle(client, LABEL)
    bench.settle(client, make_label(2, 1))
    assert bench.events() == [FlowExpired(LABEL)]
    client.send(SRTP)
    assert bench.records() == [SRTP]
    bench.later(FAREWELL)
    assert bench.path.connections == 1


# --- hostile --------------------------------------------------------------------------------------


def test_who_says_nothing_or_half_a_frame_has_little_time(bench: Bench) -> None:
    silent, slow = bench.client(), bench.client()
    for second in range(int(VOUCHED_WITHIN)):
        slow.socket.sendall(b"\x00"[second:] or b"\x08")
        bench.later(1)
    bench.later(1)
    assert bench.ended == {Ending.NOT_VOUCHED: 2}
    assert silent.is_closed()
    assert slow.is_closed()


def test_checks_that_nobody_vouches_for_prolong_nothing(bench: Bench) -> None:
    client = bench.client()
    for _ in range(6):
        client.send(STUN)
        bench.events()
        bench.later(1)
    assert bench.ended == {Ending.NOT_VOUCHED: 1}


def test_a_flood_of_connections_of_one_address_keeps_nobody_out(bench: Bench) -> None:
    settled = bench.client()
    bench.settle(settled)
    flood = []
    for _ in range(STRANGERS_PER_SOURCE + 50):
        flood.append(bench.client("127.0.0.2"))
        bench.pump()
    assert bench.ended == {Ending.SOURCE_LIMIT: 50}
    newcomer = bench.client()
    newcomer.send(STUN)
    assert Upcall(newcomer.key, STUN, None) in bench.events()
    settled.send(SRTP)
    assert bench.records() == [SRTP]


def test_a_slow_reader_is_cut_and_costs_little_until_then(bench: Bench) -> None:
    good, slow = bench.client(), bench.client()
    bench.settle(good, LABEL)
    slow_label = make_label(2, 1)
    bench.settle(slow, slow_label)
    for _ in range(40):
        bench.say(slow_label, *[bytes((0x80,)) * 1200] * 20)
        bench.say(LABEL, SRTP)
        assert good.take() == [SRTP]
    dropped = bench.path.counters.records_dropped[DropReason.SEND_WOULD_BLOCK]
    assert dropped
    # What waits for it: the kernel's buffers at both ends, and no more than that.
    frames = 800 - dropped
    assert frames * 1202 < 4 << 20
    bench.later(READS_WITHIN - 1)
    assert bench.ended == {}
    # The kernel may find room for some more even now, which is taking; it ends.
    while not bench.ended:
        bench.later(1)
        assert bench.now < 10 * READS_WITHIN
    assert bench.ended == {Ending.SLOW_READER: 1}
    # It gets whole frames, until the connection ends in the midst of one at the most.
    assert {len(datagram) for datagram in slow.take()} == {1200}


def test_a_reader_that_catches_up_stays_and_gets_whole_frames(bench: Bench) -> None:
    client = bench.client()
    bench.settle(client)
    sent = 0
    while not bench.path.counters.records_dropped:
        bench.say(LABEL, *[sent.to_bytes(2, "big") * 600] * 20)
        sent += 20
    bench.later(READS_WITHIN - 1)
    taken = client.take()
    for _ in range(100):
        bench.pump()
        taken += client.take()
    bench.later(READS_WITHIN - 1)
    assert bench.ended == {}
    bench.say(LABEL, b"now")
    assert client.take() == [b"now"]
    assert {len(datagram) for datagram in taken} == {1200}


def test_a_ring_is_not_filled_by_one_client(bench: Bench) -> None:
    client = bench.client()
    bench.settle(client)
    client.send(*[STUN] * 50)
    assert len(bench.events()) == FLOW_UPCALLS
    assert bench.path.counters.dropped == {DropReason.UPCALLS_FULL: 50 - FLOW_UPCALLS}


def test_without_descriptors_it_rests_and_begins_again(bench: Bench) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    clients = [bench.client() for _ in range(3)]
    holes: list[socket.socket] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, limits[1]))
        with suppress(OSError):
            while True:
                holes.append(socket.socket())
        bench.pump()  # comes to rest
        assert bench.path.connections == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for hole in holes:
            hole.close()
    bench.path.sweep(bench.now)
    bench.pump()
    assert bench.path.connections == len(clients)


def test_thousands_that_are_idle_cost_little(bench: Bench) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = 2000
    if hard != resource.RLIM_INFINITY and hard < 2 * count + 200:
        pytest.skip("not enough descriptors here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * count + 200), hard))
    bench.pump()
    before = _resident()
    for number in range(count):
        bench.settle(bench.client(f"127.0.0.{2 + number % 200}"), make_label(number, 1))
    grown = _resident() - before
    assert bench.path.connections == count
    assert grown / count < 8192  # its client, in this process too, included
    bench.later(1)
    assert bench.path.connections == count


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_draining_takes_no_new_connections(bench: Bench) -> None:
    client = bench.client()
    bench.settle(client)
    bench.path.stop_listening()
    late = bench.client()
    late.send(STUN)
    assert bench.events() == []
    bench.path.sweep(bench.now)
    client.send(SRTP)
    assert bench.records() == [SRTP]


def test_what_the_listener_is_set_to_its_connections_are(bench: Bench) -> None:
    bench.client()
    bench.pump()
    (port, _) = bench.path._turns
    (connection,) = port._by_descriptor.values()
    tcp = socket.IPPROTO_TCP
    assert connection.socket.getsockopt(tcp, socket.TCP_NODELAY)
    assert connection.socket.getsockopt(tcp, socket.TCP_NOTSENT_LOWAT) == TCP_UNSENT
