"""The values of a session: what they say of themselves, and what follows from them."""

from __future__ import annotations

from config.ids import Endpoint, FlowKey, Transport
from workers.transceiver.core.values import DataParameters, Path

PATH = Path(Transport.UDP, Endpoint("2001:db8::7", 51_000), Endpoint("192.0.2.1", 3478))


def test_a_path_is_a_relays_flow_key() -> None:
    assert tuple(FlowKey(*PATH))[:3] == tuple(PATH)


def test_a_path_reads_from_client_to_us() -> None:
    assert str(PATH) == "[2001:db8::7]:51000>192.0.2.1:3478/udp"


def test_an_association_does_as_was_agreed() -> None:
    agreed = DataParameters("1", 5000, 65_536, our_init=b"a", their_init=b"b")
    parameters = agreed.association(even=True)
    assert (parameters.even, parameters.remote_port) == (True, 5000)
    assert parameters.peer_max_message == 65_536
    assert (parameters.our_init, parameters.their_init) == (b"a", b"b")
