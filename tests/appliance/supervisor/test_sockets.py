"""Real sockets on loopback: groups that never change, and clear words when something is taken."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.supervisor.addresses import own_addresses
from appliance.supervisor.binding import bind_link, bind_tcp
from appliance.supervisor.problems import EXIT_CONFIG, EXIT_UNAVAILABLE, CannotStart
from appliance.supervisor.recovered import EstatePair, Recovered
from appliance.supervisor.sockets import Sockets, open_sockets
from config.ids import Endpoint
from config.model import Config
from ipc.parcels import parcel_pair
from tests.support.appliance import free_udp_port

OWN = own_addresses()
HAS_IPV6 = "::1" in OWN


def config_of(*listen: str, http: tuple[str, ...] = ("127.0.0.1:0",)) -> Config:
    return Config.model_validate(
        {
            "relay": {"listen": listen, "receive_buffer": 65536},
            "signaling": {"listen": http},
        }
    )


@pytest.fixture
def opened() -> Iterator[list[Sockets]]:
    everything: list[Sockets] = []
    yield everything
    for sockets in everything:
        sockets.close()


def drain(sockets: list[socket.socket]) -> list[int]:
    counts = []
    for sock in sockets:
        count = 0
        try:
            while sock.recv(64):
                count += 1
        except BlockingIOError:
            counts.append(count)
    return counts


def test_every_relay_has_every_address_in_the_same_order(opened: list[Sockets]) -> None:
    port = free_udp_port()
    wanted = [f"127.0.0.1:{port}", *([f"[::1]:{port}"] if HAS_IPV6 else [])]
    sockets = open_sockets(config_of(*wanted), OWN, relays=3)
    opened.append(sockets)
    assert [[str(b.endpoint) for b in row] for row in sockets.public] == [wanted] * 3
    assert [str(e) for e in sockets.listening()] == wanted
    for row in sockets.public:
        for bound in row:
            assert bound.socket.getsockname()[:2] == tuple(bound.endpoint)
            assert not bound.socket.getblocking()
            assert not os.get_inheritable(bound.socket.fileno())
    assert len({bound.endpoint for bound in sockets.links}) == 3
    assert sockets.http[0].socket.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


def test_the_sockets_of_one_address_share_its_datagrams(opened: list[Sockets]) -> None:
    sockets = open_sockets(config_of("127.0.0.1:0"), OWN, relays=2)
    opened.append(sockets)
    group = [row[0].socket for row in sockets.public]
    assert len({row[0].endpoint for row in sockets.public}) == 1
    for _ in range(200):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"x", sockets.public[0][0].endpoint)
    counts = drain(group)
    assert sum(counts) == 200
    assert min(counts) > 0


def test_a_dead_worker_moves_no_flow_of_its_siblings(opened: list[Sockets]) -> None:
    """The supervisor's copies keep the group as it is, and the kernel queues for the successor."""
    sockets = open_sockets(config_of("127.0.0.1:0"), OWN, relays=2)
    opened.append(sockets)
    group = [row[0].socket for row in sockets.public]
    endpoint = sockets.public[0][0].endpoint
    clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(50)]
    try:
        for client in clients:
            client.sendto(b"x", endpoint)
        before = drain(group)
        worker = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(60)"],
            pass_fds=(group[0].fileno(),),
        )
        worker.kill()
        worker.wait()
        for client in clients:
            client.sendto(b"x", endpoint)
        assert drain(group) == before
    finally:
        for client in clients:
            client.close()


def test_a_second_instance_is_refused_with_the_address(opened: list[Sockets]) -> None:
    """SO_REUSEPORT alone would share the port in silence."""
    first = open_sockets(config_of("127.0.0.1:0"), OWN, relays=2)
    opened.append(first)
    taken = first.listening()[0]
    with pytest.raises(CannotStart) as caught:
        opened.append(open_sockets(config_of(str(taken)), OWN, relays=2))
    assert caught.value.code == EXIT_UNAVAILABLE
    (why,) = caught.value.problems
    assert why.startswith(f"relay.listen[0]: {taken} is in use by another program")


def test_all_problems_come_at_once(opened: list[Sockets]) -> None:
    first = open_sockets(config_of("127.0.0.1:0"), OWN, relays=1)
    opened.append(first)
    udp, http = first.listening()[0], first.http[0].endpoint
    config = config_of(str(udp), http=(str(http), "203.0.113.9:0"))
    with pytest.raises(CannotStart) as caught:
        opened.append(open_sockets(config, OWN, relays=1))
    problems = caught.value.problems
    assert [p.split(":")[0] for p in problems] == [
        "relay.listen[0]",
        "signaling.listen[0]",
        "signaling.listen[1]",
    ]
    assert problems[2].endswith("this host has no such address")
    assert caught.value.code == EXIT_CONFIG


def test_nothing_stays_bound_after_a_failure() -> None:
    port = free_udp_port()
    with pytest.raises(CannotStart):
        open_sockets(config_of(f"127.0.0.1:{port}", http=("203.0.113.9:0",)), OWN, relays=2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", port))


def test_an_address_that_may_come_later_is_bound_with_a_warning(opened: list[Sockets]) -> None:
    sockets = open_sockets(config_of(f"203.0.113.9:{free_udp_port()}"), OWN, relays=1)
    opened.append(sockets)
    assert sockets.warnings == ["relay.listen[0]: 203.0.113.9 is not an address of this host now"]


def test_every_address_of_loopback_is_this_hosts(opened: list[Sockets]) -> None:
    sockets = open_sockets(config_of(f"127.0.0.77:{free_udp_port()}"), OWN, relays=1)
    opened.append(sockets)
    assert not sockets.warnings


def test_a_host_without_ipv6_is_no_mistake_but_no_address_at_all_is(opened: list[Sockets]) -> None:
    port = free_udp_port()
    sockets = open_sockets(config_of(f"0.0.0.0:{port}", f"[::]:{port}"), ("127.0.0.1",), relays=1)
    opened.append(sockets)
    assert sockets.listening() == (Endpoint("127.0.0.1", port),)
    assert sockets.warnings == []
    with pytest.raises(CannotStart, match="no address"):
        open_sockets(config_of(f"[::]:{port}"), ("127.0.0.1",), relays=1)


def test_a_short_receive_buffer_is_said(
    opened: list[Sockets], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.supervisor.binding._SO_RCVBUFFORCE", socket.SO_RCVBUF)
    limit = int(Path("/proc/sys/net/core/rmem_max").read_text())
    if limit >= 268_435_456:
        pytest.skip("this host allows any buffer")
    config = Config.model_validate(
        {
            "relay": {"listen": ["127.0.0.1:0"], "receive_buffer": 268_435_456, "workers": 1},
            "signaling": {"listen": ["127.0.0.1:0"]},
        }
    )
    sockets = open_sockets(config, OWN, relays=1)
    opened.append(sockets)
    assert "raise net.core.rmem_max" in sockets.buffer_warning()


def test_link_sockets_are_fresh_and_exact() -> None:
    one, two = bind_link("127.0.0.1", 65536), bind_link("127.0.0.1", 65536)
    with one.socket, two.socket:
        assert one.endpoint != two.endpoint
        assert one.endpoint.host == "127.0.0.1"
    with pytest.raises(OSError, match="exact"):
        bind_link("0.0.0.0", 65536)


# --- another number of workers --------------------------------------------------------------------


class Crowd:
    """Clients, and which relay worker's socket each of them reaches."""

    def __init__(self, sockets: Sockets) -> None:
        self.sockets = sockets
        self.clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(100)]

    def reached(self) -> list[int]:
        where: dict[int, int] = {}
        for number, client in enumerate(self.clients):
            client.sendto(bytes([number]), self.sockets.listening()[0])
        for worker, row in enumerate(self.sockets.public):
            try:
                while True:
                    where[row[0].socket.recv(8)[0]] = worker
            except BlockingIOError:
                continue
        return [where[number] for number in range(len(self.clients))]


@pytest.fixture
def crowd(opened: list[Sockets], request: pytest.FixtureRequest) -> Iterator[Crowd]:
    config = Config.model_validate(
        {
            "relay": {
                "listen": ["127.0.0.1:0"],
                "receive_buffer": 1_048_576,
                "steering": request.param,
            },
            "signaling": {"listen": ["127.0.0.1:0"]},
        }
    )
    opened.append(open_sockets(config, OWN, relays=1))
    everybody = Crowd(opened[0])
    yield everybody
    for client in everybody.clients:
        client.close()


ALL = pytest.mark.parametrize("crowd", ["hash", "table", "cpu"], indirect=True)


@ALL
def test_new_sockets_get_nothing_before_somebody_reads_them(crowd: Crowd) -> None:
    sockets = crowd.sockets
    sockets.prepare(3)
    assert len(sockets.links) == 3
    assert [b.endpoint for row in sockets.public for b in row] == [*sockets.listening()] * 3
    assert set(crowd.reached()) == {0}
    sockets.steer(3)
    assert len(set(crowd.reached())) > 1 or sockets.steering._way == "cpu"


@ALL
def test_a_growth_may_be_given_up(crowd: Crowd) -> None:
    sockets = crowd.sockets
    sockets.prepare(3)
    sockets.keep(1)
    assert (len(sockets.public), len(sockets.links)) == (1, 1)
    assert set(crowd.reached()) == {0}


@ALL
def test_removed_sockets_get_nothing_before_they_are_closed(crowd: Crowd) -> None:
    sockets = crowd.sockets
    sockets.prepare(3)
    sockets.steer(3)
    sockets.steer(2)
    assert set(crowd.reached()) <= {0, 1}
    removed = sockets.public[2][0].socket
    sockets.keep(2)
    assert removed.fileno() == -1
    assert set(crowd.reached()) <= {0, 1}
    sockets.prepare(4)
    assert set(crowd.reached()) <= {0, 1}
    sockets.steer(4)
    assert len(set(crowd.reached())) > 2 or sockets.steering._way == "cpu"
    sockets.steer(1)
    sockets.keep(1)
    assert set(crowd.reached()) == {0}


@pytest.mark.parametrize("crowd", ["table"], indirect=True)
def test_a_table_moves_only_what_it_must(crowd: Crowd) -> None:
    sockets, before = crowd.sockets, crowd.reached()
    for relays in (2, 3, 4):
        sockets.prepare(relays)
        sockets.steer(relays)
        after = crowd.reached()
        assert {now for was, now in zip(before, after, strict=True) if now != was} == {relays - 1}
        before = after
    sockets.steer(3)
    after = crowd.reached()
    assert {was for was, now in zip(before, after, strict=True) if now != was} == {3}


@pytest.mark.parametrize("crowd", ["hash"], indirect=True)
def test_what_cannot_be_had_changes_nothing(crowd: Crowd) -> None:
    sockets = crowd.sockets
    sockets.link_address = "203.0.113.9"
    with pytest.raises(OSError, match="assign requested address"):
        sockets.prepare(3)
    assert (len(sockets.public), len(sockets.links)) == (1, 1)


# --- ICE-TCP --------------------------------------------------------------------------------------


def test_all_relays_accept_from_one_listener_for_each_address(opened: list[Sockets]) -> None:
    port = free_udp_port()
    sockets = open_sockets(config_of(f"127.0.0.1:{port}"), OWN, relays=2)
    opened.append(sockets)
    (listener,) = sockets.tcp
    assert listener.endpoint == Endpoint("127.0.0.1", port)
    assert len(sockets.tcp_links) == 2
    with socket.create_connection(listener.endpoint, timeout=10):
        accepted, _ = listener.socket.accept()
        accepted.close()
    one, other = sockets.links, sockets.tcp_links
    pairs = zip(one, other, strict=True)
    assert sockets.link_addresses() == tuple((u.endpoint, t.endpoint) for u, t in pairs)
    sockets.prepare(3)
    assert list(map(len, sockets.link_addresses())) == [2, 2, 2]
    ends = [end for estate in sockets.estates for end in estate]
    assert len(set(ends)) == 6
    sockets.keep(1)
    assert [end.fileno() < 0 for end in ends] == [False, False, True, True, True, True]
    assert sockets.link_addresses() == ((one[0].endpoint, other[0].endpoint),)
    assert sockets.tcp == [listener]


def test_an_estate_that_came_back_is_its_relays_and_others_are_new(opened: list[Sockets]) -> None:
    back = Recovered()
    back.tcp.append(bind_tcp(Endpoint("127.0.0.1", 0), foreign=False))
    public = bind_link("127.0.0.1", 65536)
    public.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    back.public[0] = [public]
    back.estates[1] = kept = EstatePair(*parcel_pair())
    with pytest.raises(CannotStart):
        open_sockets(config_of("127.0.0.1:0", http=("203.0.113.9:0",)), OWN, 2, back)
    assert [end.fileno() >= 0 for end in kept] == [True, True]
    sockets = open_sockets(config_of("127.0.0.1:0"), OWN, 2, back)
    opened.append(sockets)
    assert sockets.estates[1] == kept
    assert len({end.fileno() for estate in sockets.estates for end in estate}) == 4
    back.close()
    assert kept.entry.fileno() >= 0
    sockets.close()
    assert [end.fileno() for end in kept] == [-1, -1]


def test_tcp_has_addresses_of_its_own_or_none(opened: list[Sockets]) -> None:
    relay = {"listen": ["127.0.0.1:0"], "listen_tcp": ["127.0.0.2:0"], "receive_buffer": 65536}
    http = {"listen": ["127.0.0.1:0"]}
    config = Config.model_validate({"relay": relay, "signaling": http})
    sockets = open_sockets(config, OWN, relays=1)
    opened.append(sockets)
    assert [b.endpoint.host for b in sockets.tcp] == ["127.0.0.2"]
    config = Config.model_validate({"relay": {**relay, "tcp": False}, "signaling": http})
    sockets = open_sockets(config, OWN, relays=2)
    opened.append(sockets)
    assert (sockets.tcp, sockets.tcp_links, sockets.estates) == ([], [], [])
    assert list(map(len, sockets.link_addresses())) == [1, 1]


def test_a_port_that_only_tcp_finds_taken_is_named(opened: list[Sockets]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(CannotStart) as refused:
            open_sockets(config_of(f"127.0.0.1:{port}"), OWN, relays=1)
        (problem,) = refused.value.problems
        assert problem.startswith(
            f"relay.listen[0], by TCP (without it: relay.tcp = false): 127.0.0.1:{port} is in use"
        )


def test_a_floating_address_is_listened_on_before_it_comes(opened: list[Sockets]) -> None:
    sockets = open_sockets(config_of("192.0.2.77:0"), OWN, relays=1)
    opened.append(sockets)
    assert [b.endpoint.host for b in sockets.tcp] == ["192.0.2.77"]
