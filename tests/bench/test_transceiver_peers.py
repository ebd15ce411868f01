"""The media servers that the bench compares with are installed by it, start, and can be called."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.appliance import call
from bench.spot_check import spotting
from bench.transceiver_contenders import Contender
from bench.transceiver_peers import AIORTC_PYTHON, install, running_peers

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Contender]]:
    install()
    with running_peers(str(tmp_path_factory.mktemp("peers")), 0, 0) as running:
        yield running


def test_all_of_them_echo(peers: list[Contender]) -> None:
    for peer in peers:
        told = call(peer.url, count=2, rate=20, seconds=1).report()
        assert told["sessions_failed"] == 0, (peer.name, told["errors"])
        assert told["packets_received"] > 0, peer.name


def test_an_independent_client_hears_its_tone_from_each(peers: list[Contender]) -> None:
    with spotting(AIORTC_PYTHON, 0, 0) as spotter:
        for peer in peers:
            spotter.call(peer.url)
            assert spotter.verdict() == "", peer.name
