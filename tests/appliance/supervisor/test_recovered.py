"""What comes back from workers and from systemd: of each thing one copy, and nothing that it is not."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.supervisor.binding import bind_http, bind_link
from appliance.supervisor.recovered import TABLE_NAME, Recovered
from config.ids import Endpoint, Role, WorkerName
from ipc.messages.lifecycle import NOWHERE, Assignment, Descriptor, DescriptorKind
from ipc.parcels import find_parcel, leave_parcel, parcel_pair


@pytest.fixture
def back() -> Iterator[Recovered]:
    recovered = Recovered()
    yield recovered
    recovered.close()


def assignment(role: Role, *descriptors: Descriptor, index: int = 0) -> Assignment:
    return Assignment(
        version=1,
        name=WorkerName(f"{role.label}-{index}"),
        role=role,
        index=index,
        generation=7,
        config="{}",
        control="ipc:///c",
        bus="ipc:///b",
        runtime_directory="/",
        descriptors=descriptors,
        ufrag_keys={},
        mint_with="",
        peers=(Endpoint("127.0.0.1", 4000), Endpoint("127.0.0.1", 4001)),
    )


def udp() -> tuple[Endpoint, int]:
    endpoint, sock = bind_link("127.0.0.1", 65_536)
    return endpoint, sock.detach()


def table(index: int) -> int:
    return os.memfd_create(f"{TABLE_NAME}{index}")


def test_a_relay_brings_its_sockets_and_all_tables_that_it_knows(back: Recovered) -> None:
    public, fd = udp()
    link, link_fd = udp()
    own, read_only = table(1), table(0)
    inodes = {0: os.fstat(read_only).st_ino, 1: os.fstat(own).st_ino}
    reader = os.open(f"/proc/self/fd/{read_only}", os.O_RDONLY)
    os.close(read_only)
    back.take(
        assignment(
            Role.RELAY,
            Descriptor(DescriptorKind.PUBLIC, public),
            Descriptor(DescriptorKind.LINK, link),
            Descriptor(DescriptorKind.TABLE, NOWHERE),
            Descriptor(DescriptorKind.SIBLING, NOWHERE),
            index=1,
        ),
        [fd, link_fd, own, reader],
    )
    assert [bound.endpoint for bound in back.public[1]] == [public]
    assert back.links[1].endpoint == link
    assert {n: os.fstat(fd).st_ino for n, fd in back.tables.items()} == inodes
    os.write(back.tables[0], b"the sibling's successor writes it")
    assert back.peers[0] == Endpoint("127.0.0.1", 4000)


def test_what_only_a_newer_version_knows_is_closed(back: Recovered) -> None:
    link, fd = udp()
    end, other = socket.socketpair()
    with other:
        novel = Descriptor(DescriptorKind("wormhole"), NOWHERE)
        known = Descriptor(DescriptorKind.LINK, link)
        back.take(assignment(Role.RELAY, novel, known), [end.detach(), fd])
        assert other.recv(1) == b""
        assert back.links[0].endpoint == link


def test_the_first_copy_counts_and_a_transceivers_link_is_its_own(back: Recovered) -> None:
    endpoint, sock = bind_http(Endpoint("127.0.0.1", 0))
    again = sock.dup()
    inode = os.fstat(sock.fileno()).st_ino
    http = assignment(Role.SIGNALING, Descriptor(DescriptorKind.HTTP, endpoint))
    back.take(http, [sock.detach()])
    back.take(http, [fd := again.detach()])
    (kept,) = back.http
    assert os.fstat(kept.socket.fileno()).st_ino == inode
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fd)
    ops, sock = bind_http(Endpoint("127.0.0.1", 0))
    own = assignment(Role.TELEMETRY, Descriptor(DescriptorKind.HTTP, ops))
    back.take(own, [sock.detach()])
    assert back.http == [kept]
    link, fd = udp()
    back.take(assignment(Role.TRANSCEIVER, Descriptor(DescriptorKind.LINK, link)), [fd])
    assert back.links == {}
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fd)


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def estate(back: Recovered, *ends: socket.socket) -> None:
    """A relay brings these; the first is where it leaves what it has."""
    kinds = [DescriptorKind.ESTATE_IN, DescriptorKind.ESTATE_OUT]
    descriptors = [Descriptor(kind, NOWHERE) for kind, _ in zip(kinds, ends, strict=False)]
    back.take(assignment(Role.RELAY, *descriptors), [os.dup(end.fileno()) for end in ends])


def test_an_estate_comes_back_whole_and_with_what_waits_in_it(back: Recovered) -> None:
    (entry, exit_), (other, _) = pairs = parcel_pair(), parcel_pair()
    before = open_files()
    estate(back, other)
    assert back.estates == {}
    leave_parcel(entry, b"left", [])
    estate(back, entry, exit_)
    estate(back, other, other)
    assert open_files() == before + 2
    parcel = find_parcel(back.estates[0].exit)
    assert parcel is not None
    assert parcel.data == b"left"
    assert set(back.estates[0]) <= back.sockets()
    for end in (end for pair in pairs for end in pair):
        end.close()


@pytest.mark.parametrize(
    "kind", [DescriptorKind.PUBLIC, DescriptorKind.TABLE, DescriptorKind.ESTATE_IN]
)
def test_what_it_is_not_is_refused_and_closed(back: Recovered, kind: DescriptorKind) -> None:
    good, first = udp()
    _, fd = udp()
    said = assignment(
        Role.RELAY,
        Descriptor(DescriptorKind.PUBLIC, good),
        Descriptor(kind, Endpoint("127.0.0.1", 1)),
        Descriptor(DescriptorKind.TABLE, NOWHERE),
    )
    rest = table(0)
    with pytest.raises(ValueError, match=kind.value):
        back.take(said, [first, fd, rest])
    for each in (first, fd, rest):
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(each)
    assert back.public == {}


def test_one_that_was_about_to_join_is_not_bound_yet(back: Recovered) -> None:
    where = Endpoint("127.0.0.1", 3478)
    joining = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    said = assignment(Role.RELAY, Descriptor(DescriptorKind.PUBLIC, where), index=2)
    back.take(said, [joining.detach()])
    assert back.public[2][0].endpoint == where


def test_systemd_fills_what_no_worker_brought(back: Recovered) -> None:
    public, fd = udp()
    said = assignment(Role.RELAY, Descriptor(DescriptorKind.PUBLIC, public))
    back.take(said, [fd])
    spare = os.dup(fd)
    link, link_fd = udp()
    _, http = bind_http(Endpoint("127.0.0.1", 0))
    nonsense = os.open("/dev/null", os.O_RDONLY)
    for name, each in [
        ("public.0", spare),
        ("link.0", link_fd),
        ("tcp_link.0", udp()[1]),
        ("tcp", bind_http(Endpoint("127.0.0.1", 0)).socket.detach()),
        ("http", http.detach()),
        ("table.3", table(3)),
        ("public.1", nonsense),
        ("whatever", udp()[1]),
    ]:
        back.take_stored(name, each)
    back.finish()
    assert {n: len(row) for n, row in back.public.items()} == {0: 1}
    assert back.links[0].endpoint == link
    assert (len(back.http), len(back.tcp), set(back.tcp_links)) == (1, 1, {0})
    assert set(back.tables) == {3}
