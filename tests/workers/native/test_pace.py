"""When the relay's thread leaves its sockets alone, in the time that a test says (pace.h)."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Final

import pytest

from config.ids import Endpoint
from workers.native import load
from workers.wire.link import HEADER, RecordType

US: Final = 1_000
WINDOW: Final = 10_000 * US
MOST: Final = 250 * US
TABLE: Final = 8
MEDIA: Final = b"\x80 media"
LABEL: Final = 1 << 8
LINK_READY: Final = 1
PORT_READY: Final = 2
INGRESS: Final = 0
"""Any port: whoever has one is behind a Global Relay."""


class Paced:
    """A datapath without its thread, and a client whose every datagram is read at once."""

    def __init__(self, module: Any, path: Any, sockets: Sequence[socket.socket]) -> None:
        """`sockets`: client, public port, link, and a transceiver's link."""
        self._module, self._path = module, path
        self._client, self._port, self._link, self._transceiver = sockets
        self.now = 5 * WINDOW

    def be_alone(self) -> None:
        """No Global Relay sends to it, and its client's datagrams go to the transceiver."""
        ffi, lib = self._module.ffi, self._module.lib
        lib.fp_set_ingress(self._path, -1)
        command = ffi.new("fp_command *", {"kind": lib.FP_INSTALL, "label": LABEL})
        for field, end in (("client", self._client), ("peer", self._transceiver)):
            ffi.memmove(ffi.addressof(command, field), address_of(end).pack(), 18)
        assert lib.fp_command_push(self._path, command) == 0

    def rest(self, after: int) -> int:
        """A round that begins so many ns later: how long the next one waits from then."""
        self.now += after
        self._pump(PORT_READY)
        return int(self._module.lib.fp_rest(self._path, self.now))

    def rests(self, gap: int, windows: int = 3, gathered: int = 0) -> set[int]:
        """Of all rounds of so many windows, with a datagram in each; so many are answered at a time."""
        found = set()
        for number in range(windows * WINDOW // gap):
            self._client.sendto(MEDIA, address_of(self._port))
            found.add(self.rest(gap))
            if gathered and number % gathered == 0:
                record = HEADER.pack(RecordType.DATA, 0, len(MEDIA), LABEL) + MEDIA
                self._transceiver.sendto(record * gathered, address_of(self._link))
                self._pump(LINK_READY)
        return found

    def _pump(self, ready: int) -> None:
        self._module.lib.fp_pump(self._path, self.now // 1_000_000, ready)


def address_of(end: socket.socket) -> Endpoint:
    return Endpoint(*end.getsockname())


@pytest.fixture
def paced() -> Iterator[Paced]:
    module = load()
    ffi, lib = module.ffi, module.lib
    table = os.memfd_create("flows")
    os.truncate(table, lib.fp_table_size(TABLE))
    with ExitStack() as stack:
        ends = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(4)]
        for end in ends:
            stack.enter_context(end).bind(("127.0.0.1", 0))
        _, port, link, _ = ends
        path = lib.fp_open(table, TABLE, 1280, 60)
        assert path != ffi.NULL
        assert lib.fp_add_port(path, port.fileno(), address_of(port).pack()) == 0
        assert lib.fp_set_link(path, link.fileno()) == 0
        lib.fp_set_ingress(path, INGRESS)
        assert lib.fp_recover(path) == 0
        yield Paced(module, path, ends)
        lib.fp_close(path)
    os.close(table)


def test_sparse_datagrams_wait_for_no_other(paced: Paced) -> None:
    assert paced.rests(gap=300 * US) == {0}


def test_dense_ones_wait_for_company_from_the_next_window_on_and_never_long(paced: Paced) -> None:
    paced.rest(0)
    assert paced.rests(gap=100 * US) == {0, MOST}
    assert paced.rests(gap=100 * US) == {MOST}


def test_the_denser_they_are_the_shorter_they_wait(paced: Paced) -> None:
    paced.rests(gap=25 * US)
    (rest,) = paced.rests(gap=25 * US)
    assert 70 * US < rest < 80 * US


def test_rounds_that_are_full_by_themselves_follow_at_once(paced: Paced) -> None:
    paced.rests(gap=4 * US)
    assert paced.rests(gap=4 * US, windows=1) == {0}


def test_whoever_comes_after_a_silence_waits_for_nobody(paced: Paced) -> None:
    paced.rests(gap=100 * US)
    assert paced.rest(after=2 * WINDOW) == 0
    assert paced.rests(gap=300 * US) == {0}


def test_a_relay_that_clients_meet_alone_serves_them_at_once(paced: Paced) -> None:
    paced.be_alone()
    assert paced.rests(gap=100 * US, gathered=1) == {0}


def test_it_rests_while_transceivers_gather_for_longer(paced: Paced) -> None:
    paced.be_alone()
    paced.rests(gap=100 * US, gathered=8)
    assert paced.rests(gap=100 * US, gathered=8) == {MOST}


def test_it_hurries_again_when_they_do(paced: Paced) -> None:
    paced.be_alone()
    paced.rests(gap=100 * US, gathered=8)
    paced.rests(gap=100 * US, gathered=1)
    assert paced.rests(gap=100 * US, gathered=1) == {0}
