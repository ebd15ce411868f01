"""A session whose media goes by a circuit: real sessions at both ends, real sockets for media."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack

import pytest

from ipc.messages.sessions import CloseReason
from tests.support.media import OPUS, endpoint, udp
from tests.support.sessions import End, Pair, prompt
from workers.caller.carried import Carried
from workers.caller.source import SilentOpus
from workers.caller.trunk import Trunk
from workers.native import NotBuilt
from workers.transceiver.core.interface import CloseSession, SendAudio
from workers.wire.demux import KINDS, Kind


class Stage:
    """A pair whose client is carried; its media comes and goes by sockets."""

    def __init__(self, ends: ExitStack) -> None:
        try:
            self.trunk = Trunk(1, 0.0)
        except NotBuilt as reason:
            pytest.skip(str(reason))
        ends.callback(self.trunk.end)
        self.server, self.client = udp(), udp()
        ends.callback(self.server.close)
        ends.callback(self.client.close)
        self.pair = Pair(
            client_address=endpoint(self.client),
            server_address=endpoint(self.server),
            client_ssrc=5,
            fate=self.fate,
        )
        circuit = self.trunk.circuit([self.pair.client_path])
        assert circuit is not None
        self.circuit = circuit
        self.carried = Carried(self.pair.client.session, circuit)
        self.pair.client.handle = self.carried.handle  # type: ignore[method-assign]
        self.pair.client.handle_timeout = self.carried.handle_timeout  # type: ignore[method-assign]

    def fate(self, end: End, datagram: bytes) -> Iterable[float]:
        """Media of the server's goes by its socket, the rest by the pair's network."""
        if end is End.SERVER and KINDS[datagram[0]] is Kind.RTP:
            self.server.sendto(datagram, self.client.getsockname())
            return ()
        return prompt(end, datagram)

    def run(self, seconds: float) -> None:
        """Time passes, for the trunk too."""
        until = self.pair.now + seconds
        while self.pair.now < until:
            self.trunk.flush()
            self.trunk.turn(self.pair.now)
            for _, news in self.trunk.news():
                self.pair.do(End.CLIENT, news)
            while True:
                try:
                    datagram = self.server.recv(2048)
                except BlockingIOError:
                    break
                self.pair.inject(End.SERVER, self.pair.server_path, datagram)
            self.pair.run(0.02)


@pytest.fixture
def stage() -> Iterator[Stage]:
    with ExitStack() as ends:
        yield Stage(ends)


def connected(stage: Stage) -> Stage:
    stage.pair.connect()
    stage.circuit.plug(stage.client.fileno(), ipv6=False)
    return stage


def test_media_flows_once_it_is_connected(stage: Stage) -> None:
    assert stage.carried.stats.packets_out == 0
    pair = connected(stage).pair
    stage.circuit.probe(SilentOpus(3), OPUS, frames=10, first_timestamp=0)
    stage.run(0.5)
    assert pair.heard(End.SERVER) == [SilentOpus(3).frame(index) for index in range(10)]
    assert stage.carried.stats.packets_out == 10
    assert stage.carried.handle(SendAudio(b"more", 99, OPUS.payload_type), pair.now) == []
    stage.run(0.1)
    assert pair.heard(End.SERVER)[-1] == b"more"


def test_reports_go_both_ways(stage: Stage) -> None:
    pair = connected(stage).pair
    stage.circuit.probe(SilentOpus(3), OPUS, frames=1000, first_timestamp=0)
    stage.run(8.0)
    assert stage.carried.reported is not None
    assert stage.carried.reported.lost == 0
    assert stage.carried.round_trip is not None
    assert stage.carried.stats.reports_in == pair.server.stats.reports_in == 2


def test_a_session_that_ends_says_goodbye_and_sends_no_more(stage: Stage) -> None:
    pair = connected(stage).pair
    stage.circuit.probe(SilentOpus(3), OPUS, frames=1000, first_timestamp=0)
    stage.run(2.0)
    heard, reports = len(pair.heard(End.SERVER)), pair.server.stats.reports_in
    pair.do(End.CLIENT, CloseSession(CloseReason.HANGUP))
    stage.run(0.2)
    assert pair.server.stats.reports_in == reports + 1
    assert len(pair.heard(End.SERVER)) == heard
    assert pair.ended(End.SERVER) is CloseReason.PEER_CLOSED
