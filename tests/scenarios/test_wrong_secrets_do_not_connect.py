"""A wrong password or a wrong certificate ends nothing but the attempt itself."""

from __future__ import annotations

import msgspec

from ipc.messages.sessions import CloseReason
from tests.support.world import Client, World
from workers.transceiver.core.interface import Fingerprint, IceCredentials
from workers.transceiver.core.offer import parse_answer

WRONG = Fingerprint("sha-256", bytes(32))


def test_wrong_password() -> None:
    with World() as world:
        other = world.connected_call("198.51.100.2:4002")
        client = Client(world, other.outside._replace(port=1), 100)
        client.session_id, answer = world.transceiver.create(client.offer())
        parsed = parse_answer(answer)
        wrong = IceCredentials(parsed.remote.ufrag, "x" * 32)
        client.begin(msgspec.structs.replace(parsed, remote=wrong))
        world.run(31)
        assert client.call.failure.startswith("no answer to ICE checks")
        assert world.transceiver.closed == {client.session_id: CloseReason.CONNECT_TIMEOUT}
        assert len(world.relay.datapath.by_key) == 1
        assert not other.call.failure


def test_the_servers_certificate_is_not_the_one_in_its_answer() -> None:
    with World() as world:
        client = Client(world, Client.HOME, 100)
        client.session_id, answer = world.transceiver.create(client.offer())
        client.begin(msgspec.structs.replace(parse_answer(answer), fingerprints=(WRONG,)))
        world.run(2)
        assert client.call.failure.startswith("the server's certificate is not the one")
        assert not client.call.connected
        assert client.session_id in world.transceiver.closed


def test_the_clients_certificate_is_not_the_one_in_its_offer() -> None:
    with World() as world:
        client = Client(world, Client.HOME, 100)
        right = world.client_identity.fingerprint.digest.hex(":").upper()
        offer = client.offer()
        assert right in offer
        client.session_id, answer = world.transceiver.create(
            offer.replace(right, WRONG.digest.hex(":").upper())
        )
        client.begin(parse_answer(answer))
        world.run(2)
        assert world.transceiver.closed == {client.session_id: CloseReason.FINGERPRINT_MISMATCH}
        assert client.echoes.received == 0
        assert not world.relay.datapath.by_key
